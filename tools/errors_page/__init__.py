"""The page of all errors, ``docs/errors.md``: ``python -m tools.errors_page``."""
