"""Recorded evidence, policies and verdicts on the party's side."""
