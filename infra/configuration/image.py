"""The guest image that a workspace names: found, and compared with its manifest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol import imagemanifest
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest
from infra.paths import CHECKOUT

DISK = "disk.raw"

SIGNED_KERNEL = "uki.signed.efi"
"""The output of an image whose kernel secure boot accepts."""


class ImageMissing(InputError):
    """The image is not there, or is not what its manifest says."""

    remedy = "Build the image again: invoke image.build"


@dataclass(frozen=True)
class Image:
    """``digest`` is that of the manifest, lower-case hex: the name of the image."""

    manifest: ImageManifest
    folder: Path

    @property
    def digest(self) -> str:
        return self.manifest.digest().hex()

    @property
    def disk(self) -> Path:
        return self.folder / DISK

    @property
    def signed(self) -> bool:
        """Whether secure boot lets it start."""
        return SIGNED_KERNEL in self.manifest.outputs


def find(name: str) -> Image:
    """The image of flavor ``name`` under ``out/image``, or that whose manifest's path (relative to the checkout) is
    ``name``. Reads the manifest only. Raises ImageMissing.
    """
    path = CHECKOUT / name if name.endswith(".json") else CHECKOUT / "out" / "image" / name / "manifest.json"
    try:
        manifest = ImageManifest.parse(userfile.read(path, imagemanifest.MAX_SIZE))
    except FileNotFoundError as error:
        hint = "" if name.endswith(".json") else f"Build it: invoke image.build --flavor {name}"
        raise ImageMissing(f"There is no image {name!r}.", hint=hint) from error
    except OSError as error:
        raise ImageMissing(f"The manifest of the image {name!r} cannot be read: {error.strerror}.") from error
    except FormatError as error:
        raise ImageMissing(f"The manifest of the image {name!r} cannot be read: {error}") from error
    if DISK not in manifest.outputs:
        raise ImageMissing(f"The manifest of the image {name!r} names no {DISK}.")
    return Image(manifest, path.parent)


def check_disk(image: Image) -> None:
    """Compare the disk with the manifest (0.1 s for 100 MB). Raises ImageMissing.

    Not for security, which the parties' own verification gives, but to fail here and not after a boot.
    """
    wanted = image.manifest.outputs[DISK].sha256
    try:
        with userfile.open_regular(image.disk) as disk:
            found = hashlib.file_digest(disk, "sha256").hexdigest()
    except OSError as error:
        raise ImageMissing(f"{image.disk} cannot be read: {error.strerror}.", hint="Build the image again.") from error
    if found != wanted:
        raise ImageMissing(
            f"{image.disk} has the SHA-256 {found}, its manifest says {wanted}.", hint="Build the image again."
        )
