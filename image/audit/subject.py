"""What is audited: the lock of an image, with the list of its files where the image is there."""

from dataclasses import dataclass
from pathlib import Path

from cloister.errors import InputError
from image.build import built_image, output
from image.build.built_image import BuiltImage, Layers
from image.inputs import lockfile, recipe
from image.inputs.lockfile import Lock


@dataclass(frozen=True)
class AuditedImage:
    """A lock, and the layers of the image that was built from it; None when the image is not there."""

    lock: Lock
    layers: Layers | None = None


def of_lock(path: Path) -> AuditedImage:
    """A lock alone. Raises InputError."""
    return AuditedImage(built_image.read_lock(path))


def of_image(folder: Path, words: str) -> AuditedImage:
    """The image in a folder; if it is not built, the lock of the recipe that ``words`` name, unless they are empty.

    Raises InputError, and ImageError without either.
    """
    if words and not (folder / output.MANIFEST).is_file():
        return AuditedImage(lockfile.load(recipe.load(words).lock))
    image = BuiltImage.read(folder)
    if image.lock is None:
        raise InputError(
            f"{folder} has no {built_image.LOCK}, which says what the image was built from.",
            hint=f"Build it again with {output.building(folder)}, or pass its lock with --lock.",
        )
    return AuditedImage(image.lock, image.layers)
