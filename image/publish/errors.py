"""What goes wrong while an image is published."""

from cloister.errors import InputError, RefusedError, UnreachableError
from image.errors import ImageError


class PublishError(ImageError):
    """The service has something else under the image's name, or the local file is not the image's."""


class NotSignedInError(InputError):
    """There are no credentials for the cloud: nobody was asked for anything."""


class StorageRefusedError(RefusedError):
    """The service lets nobody in with these credentials, or does not let them write."""


class StorageUnreachableError(UnreachableError):
    """The service does not answer, or stopped answering."""
