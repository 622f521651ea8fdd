"""Signed statements about images: who has built one, and which are current."""
