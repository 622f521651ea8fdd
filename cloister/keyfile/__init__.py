"""Reads keys from the files of common tools, for parties and the platform team."""
