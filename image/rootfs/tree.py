"""A file tree in memory: a layer of the image, and its deterministic tar.

Every entry is owned by root, no file is set-uid, set-gid or writable by anyone else, and no times are kept.
"""

import hashlib
import json
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Self

from image.errors import ImageError

_REAL_PLACE = "Name the file by its real place, such as usr/lib/x instead of lib/x."

MERGED = ("bin", "lib", "lib64", "sbin")
"""The folders that usr-merge replaces by links to those of the same name under usr (base-files, since Debian 13)."""

# Of names in a tar: tarfile's default depends on the locale.
_NAMES = "utf-8"
_BLOCK = tarfile.BLOCKSIZE


class EntryKind(Enum):
    DIRECTORY = "directory"
    FILE = "file"
    LINK = "link"


@dataclass(frozen=True)
class TreeEntry:
    """A directory, a regular file with its contents, or a symbolic link whose target is the contents."""

    kind: EntryKind
    mode: int
    contents: bytes = b""

    @classmethod
    def directory(cls) -> Self:
        return cls(EntryKind.DIRECTORY, 0o755)

    @classmethod
    def file(cls, contents: bytes, *, executable: bool = False) -> Self:
        return cls(EntryKind.FILE, 0o755 if executable else 0o644, contents)

    @classmethod
    def link(cls, target: str) -> Self:
        return cls(EntryKind.LINK, 0o777, target.encode())

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the contents in lower-case hex; computed once for all trees with this entry."""
        return hashlib.sha256(self.contents).hexdigest()

    def describe(self) -> dict[str, str]:
        """The entry in ``files.json``: kind, mode (octal), and a link's target or SHA-256 of a file's contents."""
        described = {"kind": self.kind.value, "mode": f"{self.mode:04o}"}
        if self.kind is EntryKind.LINK:
            return described | {"target": self.contents.decode()}
        if self.kind is EntryKind.FILE:
            return described | {"sha256": self.sha256}
        return described


class Tree:
    """Entries by path, relative to the root and without a leading slash. Parent directories are added as needed."""

    def __init__(self) -> None:
        self._entries: dict[str, TreeEntry] = {}

    def __getitem__(self, path: str) -> TreeEntry:
        try:
            return self._entries[path]
        except KeyError:
            raise ImageError(f"The image has no file {path}.") from None

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __iter__(self) -> Iterator[tuple[str, TreeEntry]]:
        """Sorted by path, so that a directory precedes its contents."""
        return iter(sorted(self._entries.items()))

    def put(self, path: str, entry: TreeEntry) -> None:
        """Add or replace the entry at ``path``. Raises ImageError for a path outside of the tree."""
        _check_path(path)
        parent = posixpath.dirname(path)
        if parent and parent not in self._entries:
            self.put(parent, TreeEntry.directory())
        self._entries[path] = entry

    def add(self, path: str, entry: TreeEntry) -> None:
        """Add an entry. Raises ImageError if there is one, or for a path outside of the tree."""
        if path in self._entries:
            raise ImageError(f"The image has {path} already, which the build writes.")
        self.put(path, entry)

    def remove(self, unwanted: "Unwanted") -> None:
        """Remove what is ``unwanted``, but for folders of what is not."""
        left = Tree()
        for path, entry in self._entries.items():
            if not unwanted(path):
                left.put(path, entry)
        self._entries = left._entries

    def update(self, other: "Tree") -> None:
        """Add the entries of ``other``. Raises ImageError if both trees have a path with different entries."""
        for path, entry in other:
            if self._entries.setdefault(path, entry) != entry:
                raise ImageError(f"Two layers of the image have different entries at {path}.")

    def resolve(self, path: str) -> str:
        """The path that ``path`` refers to after following all links inside the tree. Raises ImageError for a loop."""
        for _ in range(40):
            for part in reversed(list(_and_parents(path))):
                entry = self._entries.get(part)
                if entry is not None and entry.kind is EntryKind.LINK:
                    target = posixpath.join(posixpath.dirname(part), entry.contents.decode())
                    path = posixpath.normpath(target + path[len(part) :]).lstrip("/")
                    break
            else:
                return path
        raise ImageError(f"The symbolic links at {path} form a loop.")

    def check(self) -> None:
        """Raise ImageError for what lies below a link or a file.

        What is below a link would be written to its target: to another file of the image, or of this machine.
        """
        for path in self._entries:
            above = posixpath.dirname(path)
            if above and (kind := self._entries[above].kind) is not EntryKind.DIRECTORY:
                raise ImageError(f"{path} in the image lies below the {kind.value} {above}.", hint=_REAL_PLACE)

    def archive(self, file: BinaryIO) -> None:
        """Write a tar (GNU format) sorted by path, owner 0:0, time 0."""
        size = 0
        for path, entry in self:
            member = tarfile.TarInfo(path)
            member.mode = entry.mode
            contents = b""
            if entry.kind is EntryKind.DIRECTORY:
                member.type = tarfile.DIRTYPE
            elif entry.kind is EntryKind.LINK:
                member.type = tarfile.SYMTYPE
                member.linkname = entry.contents.decode()
            else:
                member.size, contents = len(entry.contents), entry.contents
            for part in (member.tobuf(tarfile.GNU_FORMAT, _NAMES), contents, bytes(-len(contents) % _BLOCK)):
                size += file.write(part)
        # Two empty blocks, and whole records.
        file.write(bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % tarfile.RECORDSIZE))

    @classmethod
    def from_archive(cls, file: BinaryIO) -> Self:
        """The inverse of ``archive``."""
        tree = cls()
        with tarfile.open(fileobj=file, mode="r:", encoding=_NAMES) as tar:
            for member in tar:
                if member.isdir():
                    tree.put(member.name, TreeEntry(EntryKind.DIRECTORY, member.mode))
                elif member.issym():
                    tree.put(member.name, TreeEntry.link(member.linkname))
                else:
                    tree.put(member.name, TreeEntry(EntryKind.FILE, member.mode, read_member(tar, member)))
        return tree

    def write(self, folder: Path) -> None:
        """Write the tree into an empty ``folder``, owned by the calling user. Raises ImageError as :meth:`check`."""
        self.check()
        for path, entry in self:
            destination = folder / path
            if entry.kind is EntryKind.DIRECTORY:
                destination.mkdir(parents=True, exist_ok=True)
            elif entry.kind is EntryKind.LINK:
                destination.symlink_to(entry.contents.decode())
            else:
                destination.write_bytes(entry.contents)
                destination.chmod(entry.mode)

    def listing(self) -> dict[str, dict[str, str]]:
        """Path -> ``TreeEntry.describe()``."""
        return {path: entry.describe() for path, entry in self}

    def digest(self) -> bytes:
        """SHA-256 of the listing."""
        return hashlib.sha256(json.dumps(self.listing(), sort_keys=True).encode()).digest()


class Unwanted:
    """What stays out of a tree: what matches a pattern in ``drop``, or is below that, and matches none in ``keep``.

    A pattern must match a whole usr-merged path: ``*`` matches within one name, ``**`` any number of names.
    """

    def __init__(self, drop: Iterable[str], keep: Iterable[str] = ()) -> None:
        self._drop = _Patterns(drop)
        self._keep = _Patterns(keep)

    def __call__(self, path: str) -> bool:
        return self._drop.match(path) and not self._keep.match(path)


class _Patterns:
    def __init__(self, patterns: Iterable[str]) -> None:
        expressions = [_expression(pattern) for pattern in patterns]
        self._whole = re.compile("|".join(expressions)) if expressions else None
        self._folders = {"": False}

    def match(self, path: str) -> bool:
        """Whether a pattern matches the path or a folder above it."""
        if self._whole is None:
            return False
        folder = posixpath.dirname(path)
        if folder not in self._folders:
            self._folders[folder] = self.match(folder)
        return self._folders[folder] or self._whole.fullmatch(path) is not None


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    translated = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(translated.get(part, re.escape(part)) for part in parts)


def merged(name: str) -> str:
    """The path of a package's member after usr-merge; empty for the root itself."""
    path = posixpath.normpath(name).lstrip("/")
    if path == ".":
        return ""
    return f"usr/{path}" if path.split("/", 1)[0] in MERGED and "/" in path else path


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The contents of a regular file in an uncompressed ``tar``. Raises tarfile.ReadError when the tar is cut short."""
    file = tar.fileobj
    if file is None or member.issparse():
        # Its contents are not in one piece.
        opened = tar.extractfile(member)
        return opened.read() if opened is not None else b""
    file.seek(member.offset_data)
    contents = file.read(member.size)
    if len(contents) != member.size:
        raise tarfile.ReadError("unexpected end of data")
    return contents


def _check_path(path: str) -> None:
    if not path or path != posixpath.normpath(path) or path.startswith(("/", "../")) or path == "..":
        raise ImageError(f"Invalid path inside an image: {path!r}.")


def _and_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = posixpath.dirname(path)
