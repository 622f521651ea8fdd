"""The guest image that a workspace names: finds it, and compares its disk with its manifest."""

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
"""The output of an image whose kernel is signed for secure boot."""


class ImageMissing(InputError):
    """The image does not exist, or does not match its manifest."""

    remedy = "Build the image again: invoke image.build"


@dataclass(frozen=True)
class Image:
    """``digest`` identifies the image: the SHA-256 of its manifest, lowercase hex."""

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
        """Whether it can start with secure boot."""
        return SIGNED_KERNEL in self.manifest.outputs


def find(name: str) -> Image:
    """The image of flavor ``name`` under ``out/image``, or with the manifest at path ``name`` in the checkout.

    Reads only the manifest. Raises ImageMissing.
    """
    path = CHECKOUT / name if name.endswith(".json") else CHECKOUT / "out" / "image" / name / "manifest.json"
    try:
        manifest = ImageManifest.parse(userfile.read(path, imagemanifest.MAX_SIZE))
    except FileNotFoundError as error:
        hint = "" if name.endswith(".json") else f"Build it: invoke image.build --flavor {name}"
        raise ImageMissing(f"The image {name!r} does not exist.", hint=hint) from error
    except OSError as error:
        raise ImageMissing(f"Cannot read the manifest of the image {name!r}: {error.strerror}.") from error
    except FormatError as error:
        raise ImageMissing(f"Cannot read the manifest of the image {name!r}: {error}") from error
    if DISK not in manifest.outputs:
        raise ImageMissing(f"The manifest of the image {name!r} lists no {DISK}.")
    return Image(manifest, path.parent)


def check_disk(image: Image) -> None:
    """Compare the disk with the manifest (0.1 s for 100 MB). Raises ImageMissing.

    Not for security, which the parties' own verification provides, but to fail before a boot.
    """
    wanted = image.manifest.outputs[DISK].sha256
    try:
        with userfile.open_regular(image.disk) as disk:
            found = hashlib.file_digest(disk, "sha256").hexdigest()
    except OSError as error:
        raise ImageMissing(f"Cannot read {image.disk}: {error.strerror}.", hint="Build the image again.") from error
    if found != wanted:
        raise ImageMissing(
            f"{image.disk}: SHA-256 differs (manifest: {wanted}, file: {found}).", hint="Build the image again."
        )
