"""Bring an image to a cloud: a page blob on Azure, an object on Google Cloud."""

from pathlib import Path

from cloister.errors import InputError
from image.publish import gcs, pageblob
from image.publish.artefact import Artefact, Bar, Published
from image.publish.naming import TAR_GZ, VHD

CLOUDS = ("azure", "gcp")


def publish(to: str, destination: str, image: Path, bar: Bar, *, check: bool = False) -> Published:
    """Publish the image in the folder ``image``; ``check`` reads back what is marked as whole, too.

    Raises InputError, ImageError, and what says who refuses or does not answer.
    """
    if to not in CLOUDS:
        raise InputError(f"An image is published to {' or '.join(CLOUDS)}, not to {to!r}.")
    try:
        if to == "azure":
            return pageblob.publish(Artefact.find(image, VHD), pageblob.connect(destination), bar, check=check)
        return gcs.publish(Artefact.find(image, TAR_GZ), gcs.connect(destination), bar, check=check)
    except ModuleNotFoundError as error:
        raise InputError(
            f"What talks to {to} is not installed here ({error.name}).", hint=f"Install it: make {to}"
        ) from error
