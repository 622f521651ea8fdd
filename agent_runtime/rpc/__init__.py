"""Sealed calls and attested sessions, and the deadlines that end them."""
