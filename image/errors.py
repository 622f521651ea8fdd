"""Base class of errors while an image is built or published."""

import urllib.error

from cloister.errors import CloisterError


class ImageError(CloisterError):
    """An image, one of its inputs or a host tool is missing, invalid or cannot be built."""

    remedy = "Correct the recipe or its lock, then build the image again."


def reason(error: Exception) -> object:
    """What went wrong while something was fetched, without the names of Python's classes around it."""
    if isinstance(error, urllib.error.HTTPError):
        return error  # says its status itself
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return (inner.strerror or inner) if isinstance(inner, OSError) else inner
