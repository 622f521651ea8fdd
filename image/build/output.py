"""The folder of an image, ``out/image/<flavor>``, which is replaced as a whole or not at all."""

import ctypes
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol import imagemanifest, signedimage
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage
from image import cache, disk_space
from image.build.source import CHECKOUT
from image.errors import ImageError
from image.formats import contents
from image.formats.contents import Contents
from image.inputs import chain
from image.rootfs.workers import Workers

MANIFEST = "manifest.json"
_Document = TypeVar("_Document")
# linux/fcntl.h and linux/fs.h
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def folder(flavor: str, checkout: Path = CHECKOUT) -> Path:
    """The folder of the image of ``flavor``."""
    return checkout / "out/image" / flavor


def locate(image: str) -> Path:
    """The folder of ``image``: a flavor, the name of an image in out/image, or a path if it contains a slash.

    The path may also be that of the folder's manifest. Raises InputError for an unknown name.
    """
    if "/" in image:
        path = Path(image)
        return path.parent if path.name == MANIFEST else path
    made = folder(image)
    if image not in (known := chain.flavors()) and not (made / MANIFEST).is_file():
        raise InputError(
            f"Unknown flavor {image!r}. Known flavors: {', '.join(known)}.",
            hint="Write the folder of an image with a slash, for example ./out/image/base.",
        )
    return made


def building(image: Path) -> str:
    """The command that makes the image whose folder, or manifest, ``image`` is; for the hint of a message."""
    name = (image.parent if image.name == MANIFEST else image).absolute()
    if (name / signedimage.FILE).exists():
        return "`invoke image.sign`"
    if name == folder("base").absolute() or name.parent != folder("base").absolute().parent:
        return "`invoke image.build`"
    how = f"--flavor {name.name}" if name.name in chain.flavors() else "--recipe PATH"
    return f"`invoke image.build {how}`"


def write(files: Mapping[str, Contents], destination: Path) -> None:
    """Replace the folder ``destination`` by ``files``. A VM that runs from the old disk keeps its open file.

    Raises InputError when the disk has no space for both.
    """
    # The smallest first: a manifest that differs shows it without reading the rest.
    by_size = sorted(files.items(), key=lambda file: contents.size(file[1]))
    if all(contents.same(made, destination / name) for name, made in by_size):
        return
    with disk_space.needed(destination.parent):
        _replace(files, destination)


def _replace(files: Mapping[str, Contents], destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        with Workers() as workers:
            workers.map(lambda name: contents.write(files[name], new / name), files)
        new.chmod(0o755)
        if destination.exists() and not _exchange(new, destination):
            old = Path(tempfile.mkdtemp(prefix=f".{destination.name}-old-", dir=destination.parent))
            destination.rename(old / "image")
            new.rename(destination)
            shutil.rmtree(old)
        elif not destination.exists():
            new.rename(destination)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders atomically (renameat2(2)). False where that is unsupported."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    return rename(_AT_FDCWD, bytes(one.absolute()), _AT_FDCWD, bytes(other.absolute()), _RENAME_EXCHANGE) == 0


def read_manifest(path: Path) -> ImageManifest:
    """The manifest at ``path``, a file or an image's folder.

    Raises ImageError if it does not exist, InputError if it cannot be read, and FormatError, which names the file.
    """
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        raise ImageError(
            f"The image manifest {file} does not exist.",
            hint=f"Build the image with {building(file)}.",
            exit_code=InputError.exit_code,
        )
    return _parsed(file, ImageManifest.parse, imagemanifest.MAX_SIZE)


def read_signed(image: Path) -> SignedImage | None:
    """The statement about the signed image in the folder ``image``; None if it is not signed. Raises as above."""
    path = image / signedimage.FILE
    return _parsed(path, SignedImage.parse, signedimage.MAX_SIZE) if path.is_file() else None


def _parsed(file: Path, parse: Callable[[bytes], _Document], limit: int) -> _Document:
    try:
        return parse(userfile.read(file, limit))
    except OSError as error:
        raise userfile.unreadable(file, error) from error
    except FormatError as error:
        hint = f"Build the image again with {building(file)}, or use the checkout that it was built in."
        raise FormatError(f"{file} cannot be used: {error.message}", hint=hint) from error


def check(manifest: ImageManifest, image: Path) -> list[str]:
    """The names of the outputs in the folder ``image`` that are missing or differ from ``manifest``."""
    return [
        name
        for name, output in manifest.outputs.items()
        if not (image / name).is_file() or cache.digest(image / name) != output.sha256
    ]
