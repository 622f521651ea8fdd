"""The root of every error of the image's making."""

from cloister.errors import CloisterError


class ImageError(CloisterError):
    """An image, one of its inputs or one of the locked host tools cannot be had or made."""

    remedy = "Correct the recipe or its lock, then build the image again."
