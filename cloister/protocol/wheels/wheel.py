"""One wheel: which of its files are installed where, with which mode and which hash.

Source: PyPA, "Binary distribution format". The folder of packages is laid out as by ``pip install --target``: scripts
are in ``bin``, the files of the scheme ``data`` at the top. Headers are skipped, since the guest has no compiler. A
program keeps its mode; for each console script of the entry points a program is made.
"""

import configparser
import hashlib
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.limits import MAX_ENTRIES
from cloister.protocol.archives.reader import Source
from cloister.protocol.archives.zipdirectory import count_members
from cloister.protocol.wheels import record
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.filename import WheelName, normalised

MAX_FILES = MAX_ENTRIES
MAX_UNPACKED = 256 * 1024**3
_CHUNK = 256 * 1024
_LONGEST_PATH = 2048
_LONGEST_PART = 255
_MAX_ENTRY_POINTS = 1024 * 1024
_BEGIN = b"PK\x03\x04"
_ENCRYPTED = 0x1
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""What tools write. Of the others, :mod:`zipfile` unpacks a whole read at once: a few KB to GBs of memory."""

_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_SCRIPT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FUNCTION = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<attribute>[\w.]+)\s*(?:\[.*\])?")


@dataclass(frozen=True)
class WheelFile:
    """A file that is installed: its ``path`` in the folder of packages, ``size`` in bytes."""

    path: str
    size: int
    executable: bool
    script: bool
    member: zipfile.ZipInfo
    recorded: record.RecordedHash | None
    """None for RECORD itself and its signatures."""


class _EntryPoints(configparser.RawConfigParser):
    """A parser for which upper and lower case differ."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


class OpenWheel:
    """A wheel in a seekable file. Raises BundleError for everything that cannot be installed."""

    def __init__(self, source: IO[bytes], file: str) -> None:
        self.name = WheelName.parse(file)
        with self._readable():
            if source.read(4) != _BEGIN:
                raise BundleError(f"{file} does not begin like a zip file, so it is not a wheel.")
            # zipfile holds the whole directory.
            try:
                count = count_members(Source(source))
            except ArchiveError as error:
                raise BundleError(f"{file} is not a wheel: {error.message}", hint="Download it again.") from error
            if count > MAX_FILES:
                raise BundleError(f"{file} has {count} files; at most {MAX_FILES} are allowed.")
            source.seek(0)
            self._archive = zipfile.ZipFile(source)
            self._check_methods()
            self._info = self._dist_info()
            self.files = tuple(self._files())

    @contextmanager
    def _readable(self) -> Generator[None, None, None]:
        try:
            yield
        except (
            zipfile.BadZipFile,
            zlib.error,
            struct.error,
            EOFError,
            NotImplementedError,
            OSError,
            RuntimeError,
            ValueError,
        ) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk, not of the wheel
            raise BundleError(f"{self.name.file} is damaged: {error}.", hint="Download it again.") from error

    def copy(self, file: WheelFile, write: Callable[[bytes], object], interpreter: str) -> bytes:
        """Pass a file's content to ``write``; return the SHA-256 of the content. Raises BundleError.

        A script for ``#!python`` gets the path of the ``interpreter``.
        """
        content = hashlib.sha256()
        recorded = file.recorded
        other = None if recorded is None or recorded.algorithm == "sha256" else hashlib.new(recorded.algorithm)
        with self._readable(), self._archive.open(file.member) as data:
            first = file.script
            while chunk := data.read(_CHUNK):
                content.update(chunk)
                if other is not None:
                    other.update(chunk)
                if first:
                    chunk = _with_interpreter(chunk, interpreter)
                    first = False
                write(chunk)
        found = content.digest() if other is None else other.digest()
        if recorded is not None and found != recorded.digest:
            raise BundleError(
                f"{self.name.file}: {file.member.filename[:80]!r} differs from its hash in RECORD.",
                hint="Download the wheel again; if it stays so, take another version.",
            )
        return content.digest()

    def read(self, file: WheelFile) -> IO[bytes]:
        """A file's content, seekable; nothing is checked."""
        return self._archive.open(file.member)

    def metadata(self, name: str, limit: int) -> bytes | None:
        """At most ``limit`` bytes of a file in the wheel's ``.dist-info``; None without that file."""
        with self._readable():
            try:
                with self._archive.open(f"{self._info}/{name}") as data:
                    return data.read(limit)
            except KeyError:
                return None

    def programs(self, interpreter: str) -> dict[str, bytes]:
        """The programs of the console scripts, by name. Entries without a valid name or function are skipped."""
        text = self.metadata("entry_points.txt", _MAX_ENTRY_POINTS)
        if text is None:
            return {}
        parser = _EntryPoints(delimiters=("=",), strict=False)
        try:
            parser.read_string(text.decode("utf-8"))
        except (configparser.Error, UnicodeDecodeError) as error:
            raise BundleError(f"{self.name.file}: entry_points.txt cannot be read.") from error
        found = {}
        for name, value in parser.items("console_scripts") if parser.has_section("console_scripts") else []:
            function = _FUNCTION.fullmatch(value.strip())
            if function is None or _SCRIPT.fullmatch(name) is None:
                continue
            module, attribute = function["module"], function["attribute"]
            top = attribute.partition(".")[0]
            found[name] = f"#!{interpreter}\nimport sys\nfrom {module} import {top}\nsys.exit({attribute}())\n".encode()
        return found

    def _check_methods(self) -> None:
        for member in self._archive.infolist():
            if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
                raise BundleError(
                    f"{self.name.file}: {member.filename[:80]!r} is encrypted or not packed by Deflate.",
                    hint="Build the wheel again, or take another version.",
                )

    def _dist_info(self) -> str:
        """The folder of the wheel's metadata, which must belong to the package that the file name names."""
        found = {name.partition("/")[0] for name in self._archive.namelist() if "/" in name}
        folders = sorted(name for name in found if name.endswith(".dist-info"))
        if len(folders) != 1:
            raise BundleError(f"{self.name.file} must have one folder .dist-info, and has {len(folders)}.")
        package = folders[0].removesuffix(".dist-info").rpartition("-")[0]
        if normalised(package) != self.name.package:
            raise BundleError(f"{self.name.file} has the metadata of another package: {folders[0][:80]!r}.")
        return folders[0]

    def _files(self) -> Iterator[WheelFile]:
        hashes = self._record()
        total = 0
        for member in self._archive.infolist():
            name = member.filename
            self._check_path(name)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BundleError(f"{self.name.file}: {name[:80]!r} is a link or a device, which no wheel may hold.")
            if member.is_dir():
                continue
            place = self._place(name)
            if place is None:
                continue
            total += member.file_size
            path, script = place
            unrecorded = name in {f"{self._info}/{file}" for file in _UNRECORDED}
            recorded = None if unrecorded else record.parse(hashes.get(name, ""), name, self.name.file)
            mode = member.external_attr >> 16
            executable = script or bool(stat.S_ISREG(mode) and mode & 0o111)
            yield WheelFile(path, member.file_size, executable, script, member, recorded)
        if total > MAX_UNPACKED:
            raise BundleError(f"{self.name.file} unpacks to {total} bytes; at most {MAX_UNPACKED} are allowed.")

    def _place(self, name: str) -> tuple[str, bool] | None:
        """Where a member is installed, and whether it is a script; None for a header."""
        top, _, rest = name.partition("/")
        if not top.endswith(".data"):
            return name, False
        scheme, _, path = rest.partition("/")
        if not path or scheme not in ("purelib", "platlib", "data", "scripts", "headers"):
            raise BundleError(f"{self.name.file}: {name[:80]!r} is of no known scheme.")
        if scheme == "headers":
            return None
        return (f"bin/{path}", True) if scheme == "scripts" else (path, False)

    def _check_path(self, name: str) -> None:
        plain = name.removesuffix("/")
        parts = plain.split("/")
        size = max(len(part.encode("utf-8", "surrogateescape")) for part in parts)
        odd = "\\" in plain or any(ord(char) < 32 or ord(char) == 127 for char in plain)
        if odd or any(part in ("", ".", "..") for part in parts):
            raise BundleError(f"{self.name.file}: {name[:80]!r} is not a path inside a folder.")
        if size > _LONGEST_PART or len(plain.encode("utf-8", "surrogateescape")) > _LONGEST_PATH:
            raise BundleError(
                f"{self.name.file}: {name[:80]!r} has a part of more than {_LONGEST_PART} bytes, or more than "
                f"{_LONGEST_PATH} in all."
            )

    def _record(self) -> dict[str, str]:
        try:
            member = self._archive.getinfo(f"{self._info}/RECORD")
        except KeyError:
            raise BundleError(f"{self.name.file} has no RECORD in {self._info}.") from None
        if member.file_size > record.MAX_BYTES:
            raise BundleError(f"{self.name.file}: RECORD is larger than {record.MAX_BYTES} bytes.")
        return record.read(self._archive.open(member), self.name.file)


def _with_interpreter(chunk: bytes, interpreter: str) -> bytes:
    """The beginning of a script, for this interpreter (PyPA, "Binary distribution format": ``#!python``)."""
    line, newline, rest = chunk.partition(b"\n")
    if not line.startswith(b"#!python"):
        return chunk
    words = line[len(b"#!python") :].split(b" ", 1)
    tail = b" " + words[1] if len(words) > 1 else b""
    return b"#!" + interpreter.encode() + tail.rstrip(b"\r") + newline + rest
