"""Fetching a result and proving where it comes from."""
