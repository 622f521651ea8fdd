"""Examines a Python algorithm before an upload: whether the guest can start it and has what it imports."""
