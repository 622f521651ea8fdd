"""Base class of errors while an image is built or published."""

from cloister.errors import CloisterError


class ImageError(CloisterError):
    """An image, one of its inputs or a host tool is missing, invalid or cannot be built."""

    remedy = "Correct the recipe or its lock, then build the image again."
