"""Dry runs on the author's machine. Rooms below: the manifest and assets of a computation."""
