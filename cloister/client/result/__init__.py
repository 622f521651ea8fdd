"""Fetching a result, and verifying results and event logs afterwards, offline."""
