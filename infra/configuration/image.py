"""The guest image that a workspace names: finds it, and compares its disk with its manifest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol import imagemanifest, signedimage
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from cloister.protocol.signedimage import SignedImage
from image.secureboot.keys import Certificates
from infra.paths import CHECKOUT

DISK = "disk.raw"


class ImageMissing(InputError):
    """The image does not exist, or does not match its manifest."""

    remedy = "Build the image again: invoke image.build"


@dataclass(frozen=True)
class Image:
    """``digest`` identifies the image: the SHA-256 of its manifest, lowercase hex.

    ``statement`` is its publisher's, if it is signed for Secure Boot.
    """

    manifest: ImageManifest
    folder: Path
    statement: SignedImage | None = None

    @property
    def digest(self) -> str:
        return self.manifest.digest().hex()

    @property
    def disk(self) -> Path:
        return self.folder / DISK

    @property
    def signed(self) -> bool:
        """Whether it starts with Secure Boot, and only with the keys of its statement."""
        return self.statement is not None

    @property
    def keys(self) -> Certificates | None:
        """The certificates of the keys that its machines' firmware trusts; None if it is not signed."""
        return Certificates.of(self.statement.certificates) if self.statement else None

    @property
    def deployed(self) -> str:
        """What registries and machines are made from, lowercase hex: the digest of the statement, else of the manifest.

        It changes when the same image is signed, or signed with other keys.
        """
        return (self.statement or self.manifest).digest().hex()

    @property
    def outputs(self) -> Mapping[str, ImageOutput]:
        """The files in ``folder`` that machines start from."""
        return (self.statement or self.manifest).outputs


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
    image = Image(manifest, path.parent, _statement(name, path, manifest))
    if DISK not in image.outputs:
        raise ImageMissing(f"The manifest of the image {name!r} lists no {DISK}.")
    return image


def _statement(name: str, path: Path, manifest: ImageManifest) -> SignedImage | None:
    """The statement beside the manifest at ``path``; None if it does not exist.

    Raises ImageMissing, also for a statement about another image.
    """
    file, again = path.with_name(signedimage.FILE), "Sign the image again: invoke image.sign"
    try:
        found = SignedImage.parse(userfile.read(file, signedimage.MAX_SIZE))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ImageMissing(f"Cannot read {file}: {error.strerror}.") from error
    except FormatError as error:
        raise ImageMissing(f"Cannot read the statement of the image {name!r}: {error}", hint=again) from error
    if found.manifest != manifest.digest().hex():
        raise ImageMissing(
            f"{file} is of another image (manifest: {manifest.digest().hex()}, statement: {found.manifest}).",
            hint=again,
        )
    return found


def check_disk(image: Image) -> None:
    """Compare the disk with the manifest (0.1 s for 100 MB). Raises ImageMissing.

    Not for security, which the parties' own verification provides, but to fail before a boot.
    """
    wanted = image.outputs[DISK].sha256
    try:
        with userfile.open_regular(image.disk) as disk:
            found = hashlib.file_digest(disk, "sha256").hexdigest()
    except OSError as error:
        raise ImageMissing(f"Cannot read {image.disk}: {error.strerror}.", hint="Build the image again.") from error
    if found != wanted:
        raise ImageMissing(
            f"{image.disk}: SHA-256 differs (manifest: {wanted}, file: {found}).", hint="Build the image again."
        )
