"""A built image, read back from its folder: manifest, lock and list of files. Each must be as the manifest says."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage
from image.build import output
from image.inputs.lockfile import Lock, LockError

LISTING, LOCK = "files.json", "lock.json"
_LARGEST = 64 * 1024 * 1024

Layers = Mapping[str, Mapping[str, Mapping[str, str]]]
"""The ``layers`` of ``files.json``: layer -> path -> entry."""


@dataclass(frozen=True)
class BuiltImage:
    """An image's manifest, and what is beside it: None for lock, layers or the statement about a signed image when the
    file is not there.
    """

    manifest: ImageManifest
    lock: Lock | None
    layers: Layers | None
    signed: SignedImage | None = None

    @classmethod
    def read(cls, path: Path) -> "BuiltImage":
        """From an image's folder or its manifest.

        Raises ImageError for a manifest that does not exist, and InputError for one that another version of Cloister
        has written, and for a file that differs from it.
        """
        manifest = output.read_manifest(path)
        folder = path if path.is_dir() else path.parent
        signed = output.read_signed(folder)
        if signed is not None:
            signed.check(manifest)
        try:
            lock, listing = (_read(folder / name, manifest) for name in (LOCK, LISTING))
            return cls(
                manifest,
                None if lock is None else Lock.parse(lock),
                None if listing is None else layers(listing),
                signed,
            )
        except (FormatError, LockError) as error:
            raise InputError(
                f"{path} is not an image of this version of Cloister. {error.message}",
                hint=f"Build it again with {output.building(path)}, or use the checkout that it was built in.",
            ) from error


def read_lock(path: Path) -> Lock:
    """The lock in a file that a user names. Raises InputError."""
    try:
        return Lock.parse(userfile.read(path, _LARGEST))
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    except LockError as error:
        raise InputError(
            f"{path} is not a lock of this version of Cloister. {error.message}",
            hint="Write it again with `invoke image.lock`, or use the checkout that it was written in.",
        ) from error


def _read(file: Path, manifest: ImageManifest) -> bytes | None:
    described = manifest.outputs.get(file.name)
    if described is None or not file.is_file():
        return None
    try:
        content = userfile.read(file, _LARGEST)
    except OSError as error:
        raise userfile.unreadable(file, error) from error
    found = hashlib.sha256(content).hexdigest()
    if found != described.sha256:
        raise InputError(
            f"{file}: SHA-256 differs from the manifest beside it (manifest: {described.sha256}, file: {found}).",
            hint=f"Build the image again with {output.building(file.parent)}.",
        )
    return content


def layers(listing: bytes) -> Layers:
    """The layers of a ``files.json``. Raises InputError for an invalid one."""
    try:
        value = json.loads(listing)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Invalid {LISTING}: not JSON: {error}.") from error
    found = value.get("layers") if isinstance(value, dict) else None
    of_layers = list(found.values()) if isinstance(found, dict) else []
    of_files = [file for layer in of_layers for file in (layer.values() if isinstance(layer, dict) else [None])]
    if not isinstance(found, dict) or not all(
        isinstance(file, dict) and all(isinstance(said, str) for said in file.values()) for file in of_files
    ):
        raise InputError(f"Invalid {LISTING}: not in the format that `invoke image.build` writes.")
    return found
