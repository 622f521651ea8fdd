"""The rules for archives that people bring: what a file is, what its members are, and how they are unpacked.

The client checks with these rules before the upload, the launcher unpacks with them in the sandbox, so both come to the
same outcome. Standard library only at import: the launcher runs without packages. ``unpacking`` has the two entries,
``folder`` the same rules for a folder on disk, ``detection`` the kinds, ``limits`` the limits.
"""
