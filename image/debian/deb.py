"""Read .deb files: an ar archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``.

Source: deb(5) and ar(5). Nothing is installed and no maintainer script is run.
"""

import gzip
import io
import lzma
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from image.debian.deb822 import stanzas
from image.errors import ImageError

Unxz: TypeAlias = Callable[[bytes, int], bytes]
"""Decompresses the contents of an .xz file to at most so many bytes. Raises LZMAError for a damaged one, and for more.
"""

_LARGEST = {"data.tar": 4 << 30, "control.tar": 64 << 20}
"""Bytes of a tar, which is in memory while it is read: the lock of someone else may name any package."""

_MAGIC = b"!<arch>\n"
_HEADER = 60
# Offsets in the member header, ar(5): name 0..16, size 48..58, magic 58..60.
_NAME, _SIZE, _END = slice(0, 16), slice(48, 58), slice(58, 60)

# The scripts that dpkg runs during an installation. Those for upgrades and removals never matter here.
SCRIPTS = ("preinst", "config", "postinst")

_CHANGELOG = re.compile(r"(?:\./)?usr/share/doc/[^/]+/changelog(?P<debian>\.Debian)?\.gz")
_LARGEST_CHANGELOG = 16 * 1024 * 1024
_DOCUMENTS = "usr/share/doc"


def _member(path: Path, prefix: str) -> tuple[str, bytes]:
    """Name and bytes of the ar member whose name begins with ``prefix``."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ImageError(f"{path.name} is not a Debian package: it is not an ar archive.")
        while header := file.read(_HEADER):
            if len(header) != _HEADER or header[_END] != b"`\n" or not header[_SIZE].strip().isdigit():
                raise ImageError(f"{path.name} is not a valid Debian package: the header of an ar member is damaged.")
            name, size = header[_NAME].decode("ascii", "replace").strip().rstrip("/"), int(header[_SIZE])
            if name.startswith(prefix):
                return name, file.read(size)
            file.seek(size + size % 2, io.SEEK_CUR)
    raise ImageError(f"{path.name} is not a Debian package: {prefix}* is missing.")


_PIECE = 1 << 20
_DAMAGED = (lzma.LZMAError, OSError, EOFError, zlib.error, tarfile.TarError)


def unxz(data: bytes, most: int) -> bytes:
    """An ``Unxz`` with Python's liblzma."""
    with lzma.open(io.BytesIO(data)) as stream:
        return _limited(stream, most)


def _limited(stream: io.BufferedIOBase, most: int) -> bytes:
    made = bytearray()
    while piece := stream.read(_PIECE):
        made += piece
        if len(made) > most:
            raise lzma.LZMAError(f"it has more than {most} bytes, unpacked")
    return bytes(made)


def _open_tar(path: Path, prefix: str, decompress: Unxz = unxz) -> tarfile.TarFile:
    name, content = _member(path, prefix)
    kind = name.rpartition(".")[2]
    try:
        if kind == "xz":
            content = decompress(content, _LARGEST[prefix])
        elif kind == "gz":
            with gzip.open(io.BytesIO(content)) as stream:
                content = _limited(stream, _LARGEST[prefix])
        elif kind != "tar":
            raise _unsupported(path, name)
        return tarfile.open(fileobj=io.BytesIO(content), mode="r:", encoding="utf-8")
    except _DAMAGED as error:
        raise ImageError(f"{path.name} is damaged: cannot read {name} ({error}).") from error


def open_data(path: Path, decompress: Unxz = unxz) -> tarfile.TarFile:
    """The tar with the files of the package, in memory; member names begin with ``./``."""
    return _open_tar(path, "data.tar", decompress)


def _control_files(path: Path) -> dict[str, bytes]:
    try:
        with _open_tar(path, "control.tar") as archive:
            files = ((member.name.removeprefix("./"), archive.extractfile(member)) for member in archive)
            return {name: file.read() for name, file in files if file is not None}
    except (*_DAMAGED, KeyError) as error:  # also a link to nothing
        raise ImageError(f"{path.name} is damaged: cannot read its control files ({error}).") from error


def scripts(path: Path) -> dict[str, bytes]:
    """The maintainer scripts that an installation would run, by name (see ``SCRIPTS``)."""
    found = _control_files(path)
    return {name: found[name] for name in SCRIPTS if name in found}


def control(path: Path) -> dict[str, str]:
    """The fields of the package's control file."""
    text = _control_files(path).get("control")
    if text is None:
        raise ImageError(f"{path.name} is not a Debian package: the control file is missing.")
    try:
        return next(stanzas(text.decode()))
    except (UnicodeDecodeError, StopIteration) as error:
        raise ImageError(f"{path.name} is not a Debian package: its control file is empty, or no text.") from error


def regular_files(path: Path) -> list[str]:
    """The paths of the package's regular files, sorted, as its control archive lists them.

    That takes a fraction of the time of unpacking the files. Only a package that lists none is unpacked.
    """
    found = _control_files(path)
    listed = {line.split(None, 1)[1] for line in _lines(found, "md5sums") if len(line.split(None, 1)) == 2}
    listed |= {line.split()[-1].lstrip("/") for line in _lines(found, "conffiles")}
    if not listed:
        with open_data(path) as archive:
            listed = {member.name.removeprefix("./") for member in archive if member.isreg() or member.islnk()}
    return sorted(listed)


def _lines(files: dict[str, bytes], name: str) -> list[str]:
    lines = files.get(name, b"").decode("utf-8", "surrogateescape").splitlines()
    return [line for line in lines if line.strip()]


def changelog(path: Path) -> str:
    """The package's Debian changelog; empty if it has none, such as when its documentation is in another package."""
    upstream = ""
    # The changelog of a kernel's package is behind 100 MB of modules.
    with _streamed_data(path) as archive:
        for member in archive:
            kind = _CHANGELOG.fullmatch(member.name)
            file = archive.extractfile(member) if kind and member.isreg() else None
            if kind is None or file is None:
                continue
            with gzip.open(file) as unpacked:
                text = unpacked.read(_LARGEST_CHANGELOG).decode("utf-8", "replace")
            if kind["debian"]:
                return text
            # Of a package that exists in Debian only; of others it is the upstream project's, in another form.
            upstream = text
    return upstream


def copyright_file(path: Path, package: str) -> bytes | str:
    """The copyright file of a package, or the name of the package whose file a link says it is; empty without one.

    Source: Debian Policy, sections 12.3 and 12.5.
    """
    folder = f"{_DOCUMENTS}/{package}"
    with _streamed_data(path) as archive:
        for member in archive:
            at = posixpath.normpath(member.name).lstrip("/")
            if member.issym() and at in (folder, f"{folder}/copyright"):
                target = posixpath.normpath(posixpath.join("/", posixpath.dirname(at), member.linkname))
                return target.removeprefix(f"/{_DOCUMENTS}/").partition("/")[0]
            if member.isfile() and at == f"{folder}/copyright" and (file := archive.extractfile(member)):
                return file.read()
    return ""


@contextmanager
def _streamed_data(path: Path) -> Generator[tarfile.TarFile]:
    """The tar with the files of the package as a stream: only what is read is decompressed, and little is in memory."""
    name, content = _member(path, "data.tar")
    opened = {"xz": lzma.open, "gz": gzip.open, "tar": lambda file: file}.get(name.rpartition(".")[2])
    if opened is None:
        raise _unsupported(path, name)
    try:
        with opened(io.BytesIO(content)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            yield archive
    except _DAMAGED as error:
        raise ImageError(f"{path.name} is damaged: cannot read {name} ({error}).") from error


def _unsupported(path: Path, name: str) -> ImageError:
    return ImageError(f"{path.name} contains {name}: unsupported compression. Expected xz or gzip.")
