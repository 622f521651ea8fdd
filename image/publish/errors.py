"""Errors while an image is published."""

from cloister.errors import InputError, RefusedError, UnreachableError
from image.errors import ImageError


class PublishError(ImageError):
    """The service has another file under the image's name, or the local file differs from the manifest."""


class NotSignedInError(InputError):
    """No credentials for the cloud were found. No request was sent."""


class StorageRefusedError(RefusedError):
    """The service rejects the credentials or does not let them write."""


class StorageUnreachableError(UnreachableError):
    """The service does not respond."""
