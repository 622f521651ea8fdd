"""Upload an image to a cloud: a page blob on Azure, an object on Google Cloud."""

from pathlib import Path

from cloister.errors import InputError
from image.publish import gcs, pageblob
from image.publish.artefact import Artefact, Bar, Published
from image.publish.naming import TAR_GZ, VHD

CLOUDS = ("azure", "gcp")


def publish(to: str, destination: str, image: Path, bar: Bar, *, check: bool = False) -> Published:
    """Publish the image in the folder ``image``; ``check`` compares even what is marked as complete.

    Raises InputError, PublishError, StorageRefusedError and StorageUnreachableError.
    """
    if to not in CLOUDS:
        raise InputError(f"--to must be {' or '.join(CLOUDS)}, not {to!r}.")
    try:
        if to == "azure":
            return pageblob.publish(Artefact.find(image, VHD), pageblob.connect(destination), bar, check=check)
        return gcs.publish(Artefact.find(image, TAR_GZ), gcs.connect(destination), bar, check=check)
    except ModuleNotFoundError as error:
        raise InputError(
            f"The client library for {to} is not installed ({error.name}).", hint=f"Install it with `make {to}`."
        ) from error
