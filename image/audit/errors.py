"""What an audit cannot read, and what it finds."""

from cloister.errors import InputError
from image.errors import ImageError


class DataError(InputError):
    """Data about vulnerabilities, or a list of accepted ones, cannot be read or is not for this image."""

    remedy = "Bring the file again as its source publishes it, then run the command again."


class VulnerableError(ImageError):
    """An image has vulnerabilities that the audit fails on."""

    exit_code = 6
    remedy = "Take newer packages with `invoke image.lock --update`, or accept what does not concern you with --accept."
