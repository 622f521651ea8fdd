"""A party's file or folder as an asset: name, digest and size for the manifest, and its bytes."""

import contextlib
import hashlib
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol import archive, names

_CHUNK = 1024 * 1024

ReadProgress = Callable[[int], None]
"""Called with the number of bytes read so far."""


@dataclass(frozen=True)
class LocalAsset:
    """An asset as a manifest describes it.

    ``file`` is the name without folders (for a folder, that of its tar), ``digest`` SHA-256 in hex, ``size`` in bytes.
    """

    path: Path
    file: str
    digest: str
    size: int


def describe_asset(path: Path, progress: ReadProgress = lambda done: None) -> LocalAsset:
    """Compute what a manifest says about an asset.

    Args:
        path: a file, or a folder, which counts as its deterministic tar: times, umask and file order do not matter.
        progress: called with the number of bytes of a file that were read so far.

    Returns:
        Name, digest and size.

    Raises:
        InputError: the asset cannot be read, or no manifest can have its name.
    """
    file = bare_name(path)
    try:
        if path.is_dir():
            folder_digest, size, _ = archive.tar_digest(path)
            return LocalAsset(path, file, folder_digest.hex(), size)
        state, done = hashlib.sha256(), 0
        with userfile.open_regular(path) as stream:
            while data := stream.read(_CHUNK):
                state.update(data)
                done += len(data)
                progress(done)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return LocalAsset(path, file, state.hexdigest(), done)


def bare_name(path: Path) -> str:
    """The name that an asset at ``path`` has in a manifest. Raises InputError for one that no asset may have."""
    try:
        name = f"{path.resolve().name}.tar" if path.is_dir() else path.name
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if (why := names.problem(name)) is not None:
        raise InputError(f"{names.shown(name)} cannot be the name of an asset: it {why}.", hint="Rename the file.")
    return name


@contextlib.contextmanager
def open_asset(path: Path) -> Generator[BinaryIO, None, None]:
    """The bytes of an asset, seekable; a folder's tar is written to a temporary file first. Raises InputError."""
    with _open(path) as stream:
        yield stream


def _open(path: Path) -> BinaryIO:
    try:
        if not path.is_dir():
            return userfile.open_regular(path)
        stream = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
        try:
            archive.write_tar(stream, path)
        except BaseException:
            stream.close()
            raise
        stream.seek(0)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return stream


def unpacked_size(path: Path) -> int:
    """Total bytes of the files in a folder, zip or tar. Raises InputError for anything else."""
    try:
        if path.is_dir():
            return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file())
        with userfile.open_regular(path) as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as packed:
                    return sum(info.file_size for info in packed.infolist())
            stream.seek(0)
            with tarfile.open(fileobj=stream) as packed_tar:
                return sum(member.size for member in packed_tar)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be unpacked: it is not a folder, zip or tar.") from error
