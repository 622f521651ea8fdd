"""The root file system of an image: its layers, applied from the bottom up.

The paths are kept in memory, with what each of them is. A layer's member is placed by that memory and never by what a
file system says, so no link can lead out of the root: a link in the middle of a path is followed as ``chroot`` would,
and never above the root. A sink makes the files, or only counts them.

Long because the rules of layers refer to each other: whiteouts, links, replaced folders.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloister.protocol.archives import errors, tars
from cloister.protocol.archives.errors import ArchiveError
from cloister.protocol.archives.paths import shown
from cloister.protocol.archives.reader import ByteReader
from cloister.protocol.archives.tars import TarMember
from cloister.protocol.archives.tree import Pieces
from cloister.protocol.containers import limits
from cloister.protocol.containers.errors import AGAIN, SAVE, ContainerError

_WHITEOUT, _OPAQUE, _AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."
_MODES = 0o1777
"""Set-user-ID and set-group-ID are left out: the sandbox lets no program gain rights."""

_TAR = "Build the image again: layers that docker, podman and buildah make have no such members."
_FLAT = "Build the image in fewer and smaller steps, or without the files that it does not need."


@dataclass(frozen=True, slots=True)
class Metadata:
    """Mode without set-id bits, owner, and time of change in nanoseconds."""

    mode: int
    user: int
    group: int
    modified: int


_IMPLIED = Metadata(0o755, 0, 0, 0)
"""A folder that only a path names."""

_EMPTY = Metadata(0o644, 0, 0, 0)
"""A file that the sandbox mounts another one over."""


@dataclass(frozen=True)
class Place:
    """Where a path leads, links followed: the real path, whether it is a file, the metadata of the root, of each folder
    on the way, and of what is there. That of links and pipes is not kept.

    ``source`` says where a file's bytes are: the number of the layer, and of the member in it, both from 0.
    """

    path: str
    is_file: bool
    metadata: tuple[Metadata, ...]
    source: tuple[int, int] | None


class RootSink(Protocol):
    """Makes the root file system. Paths are relative to the root, and every folder on the way is a real one."""

    def folder(self, path: str) -> None:
        """A new folder."""

    def file(self, path: str, pieces: Pieces, metadata: Metadata) -> None:
        """A new file."""

    def link(self, path: str, target: str, metadata: Metadata) -> None:
        """A new symbolic link."""

    def same(self, path: str, other: str) -> None:
        """Another name of the file, pipe or symbolic link ``other``."""

    def pipe(self, path: str, metadata: Metadata) -> None:
        """A new named pipe."""

    def remove(self, path: str) -> None:
        """A file, link or empty folder goes."""

    def finish(self, path: str, metadata: Metadata) -> None:
        """Said for each folder at the end, the inner ones first: its final metadata."""


@dataclass(slots=True)
class _Content:
    """What the names of one file share: its pages, where its bytes are, and how many names it has."""

    size: int
    source: "tuple[int, int] | None" = None
    names: int = 1


@dataclass(slots=True)
class _Node:
    """A name in the tree: a folder with ``children``, a link with ``target``, or a file or pipe."""

    layer: int
    content: _Content
    target: str | None = None
    children: "dict[str, _Node] | None" = None
    metadata: Metadata = _IMPLIED
    is_file: bool = False


@dataclass
class RootFilesystem:
    """The tree so far. ``peak`` is the most that it has taken in memory; ``left_out`` counts devices."""

    sink: RootSink
    size: int = 0
    peak: int = 0
    entries: int = 0
    left_out: int = 0
    _most: int | None = None
    _layer: int = 0
    _changes: int = 0
    _names: int = 0
    _root: _Node = field(default_factory=lambda: _Node(0, _Content(0), children={}))

    @classmethod
    def of(cls, layers: Iterator[ByteReader], sink: RootSink, most: int | None = None) -> "RootFilesystem":
        """Apply all layers; :meth:`finish` comes after them.

        Raises ContainerError and ArchiveError, also when more than ``most`` bytes are needed.
        """
        root = cls(sink, _most=most)
        for tar in layers:
            root.apply(tar)
        return root

    def apply(self, tar: ByteReader) -> None:
        """Apply a layer."""
        self._layer += 1
        try:
            self._apply(tar)
        except ArchiveError as error:
            said = f"Layer {self._layer} of the image: {error.message}"
            if error.hint == errors.AGAIN:
                raise ArchiveError(said, hint=AGAIN) from error
            raise ArchiveError(said, hint=_TAR) from error

    def _apply(self, tar: ByteReader) -> None:
        for number, member in enumerate(tars.read_members(tar)):
            self._changes += 1
            self._names += len(member.name) + len(member.link)
            if self._changes > limits.MAX_CHANGES or self._names > limits.MAX_PATHS:
                said = f"more than {limits.MAX_CHANGES} members, or {limits.MAX_PATHS} bytes of names"
                raise ContainerError(f"The image's layers have {said}.", hint=_FLAT)
            self._member(member, (self._layer - 1, number))

    def finish(self) -> None:
        """Give folders their final metadata, the inner ones first."""
        pending: list[tuple[str, _Node, bool]] = [("", self._root, False)]
        while pending:
            path, node, seen = pending.pop()
            if seen:
                self.sink.finish(path, node.metadata)
                continue
            pending.append((path, node, True))
            for name, child in (node.children or {}).items():
                if child.children is not None:
                    pending.append((_join(path, name), child, False))

    def find(self, path: str) -> Place | None:
        """Where ``path`` leads; None if it leads nowhere."""
        try:
            parts, node = self._walk(path.split("/"), "The path", last=True)
        except ContainerError:
            return None
        if node is None:
            return None
        at, seen = self._root, [self._root.metadata]
        for name in parts:
            at = (at.children or {})[name]
            seen.append(at.metadata)
        return Place("/".join(parts), node.is_file, tuple(seen), node.content.source)

    def is_real_folder(self, path: str) -> bool | None:
        """Whether ``path`` is a folder, without a link on the way; None if nothing is there yet."""
        node: _Node | None = self._root
        for name in path.split("/"):
            if node is None or node.children is None:
                return False
            node = node.children.get(name)
            if node is None:
                return None
        return node.children is not None

    def files_below(self, path: str) -> Iterator[str]:
        """The paths of everything but folders below a folder of the image."""
        node: _Node | None = self._root
        for name in path.split("/"):
            node = None if node is None else (node.children or {}).get(name)
        pending = [(path, node)] if node is not None else []
        while pending:
            at, node = pending.pop()
            if node.children is None:
                yield at
            pending += [(f"{at}/{name}", child) for name, child in (node.children or {}).items()]

    def named(self, wanted: Iterable[str], without: Sequence[str], most: int) -> dict[str, list[str]]:
        """The paths of everything but folders that has one of these names, outside of the folders ``without``: at most
        ``most`` of each name.
        """
        found: dict[str, list[str]] = {name: [] for name in wanted}
        pending = [("", self._root)] if found else []
        while pending:
            at, node = pending.pop()
            for name, child in (node.children or {}).items():
                if child.children is None:
                    if name in found and len(found[name]) < most:
                        found[name].append(_join(at, name))
                elif (path := _join(at, name)) not in without:
                    pending.append((path, child))
        return found

    def make_folder(self, path: str) -> None:
        """Make a folder, and those around it, where nothing is yet. Links on the way are followed."""
        try:
            self._folder([part for part in path.split("/") if part], f"The folder {shown(path)}")
        except _NotAFolder as error:
            said = f"The image has something other than a folder at {shown(path)}, or on the way to it."
            raise ContainerError(said, hint="Correct WORKDIR in the Dockerfile, or leave out what is there.") from error

    def make_file(self, path: str) -> None:
        """Make an empty file, and the folders around it, where nothing is yet. Raises ContainerError for a folder."""
        *around, name = path.split("/")
        real, folder = self._folder(around, shown(path))
        if name not in (folder.children or {}):
            self._replace(real, folder, name, _Node(self._layer, _Content(0), is_file=True, metadata=_EMPTY))
            self.sink.file(_join("/".join(real), name), iter(()), _EMPTY)
        elif (found := self.find(path)) is None or not found.is_file:
            said = f"The image has something other than a file at /{path}, where the sandbox has one."
            raise ContainerError(said, hint=f"Make /{path} an ordinary file in the image, or leave it out.")

    def _member(self, member: TarMember, source: tuple[int, int]) -> None:
        parts = _parts(member)
        what = f"Member {shown(member.name)} of layer {self._layer}"
        if not parts:
            if member.is_folder:
                self._root.metadata = _metadata(member, what)
            return
        name = parts[-1]
        if any(part.startswith(_AUFS) for part in parts) and name != _OPAQUE:
            return  # what aufs keeps for itself
        if name.startswith(_WHITEOUT):
            self._whiteout(parts[:-1], name, what)
            return
        folder_parts, folder = self._folder(parts[:-1], what)
        path = "/".join([*folder_parts, name])
        if member.kind in (tars.CHARACTER_DEVICE, tars.BLOCK_DEVICE):
            self._remove_child(folder_parts, folder, name)
            self.left_out += 1
        elif member.is_folder:
            self._new_folder(folder_parts, folder, name, _metadata(member, what))
        elif member.kind == tars.HARD_LINK:
            self._hard_link(member, folder_parts, folder, name, what)
        elif member.is_file:
            metadata = _metadata(member, what)
            made = _Node(self._layer, _pages(member.size, source), is_file=True, metadata=metadata)
            self._replace(folder_parts, folder, name, made)
            self.sink.file(path, member.content, metadata)
        elif member.kind == tars.SYMBOLIC_LINK:
            target = _decode(member.link)
            if not 0 < len(member.link) <= limits.MAX_LINK or b"\0" in member.link:
                raise ContainerError(f"{what} is a link with an invalid target.", hint=AGAIN)
            metadata = _metadata(member, what)
            self._replace(folder_parts, folder, name, _Node(self._layer, _pages(1), target=target))
            self.sink.link(path, target, metadata)
        elif member.kind == tars.PIPE:
            metadata = _metadata(member, what)
            self._replace(folder_parts, folder, name, _Node(self._layer, _Content(0)))
            self.sink.pipe(path, metadata)
        else:
            raise ContainerError(f"{what} is of the unknown kind {member.kind!r}.", hint=SAVE)

    def _whiteout(self, around: list[str], name: str, what: str) -> None:
        """Remove what a lower layer has: everything in a folder, or the file or folder that the whiteout names."""
        hidden = name.removeprefix(_WHITEOUT)
        if name != _OPAQUE and hidden in ("", ".", ".."):
            raise ContainerError(f"{what} removes nothing that can exist.", hint=AGAIN)
        try:
            parts, folder = self._walk(around, what, last=True)
        except _NotAFolder:
            return
        if folder is None or folder.children is None:
            return
        for child in list(folder.children) if name == _OPAQUE else [hidden]:
            found = folder.children.get(child)
            if found is not None:
                self._remove_lower(parts, folder, child, found)

    def _remove_lower(self, parts: list[str], folder: _Node, name: str, node: _Node) -> None:
        """Remove what lower layers have of a name; what this layer has put there stays."""
        if node.layer != self._layer:
            self._remove_child(parts, folder, name, keep=True)
        elif node.children is not None:
            pending = [([*parts, name], node)]
            while pending:
                at, inner = pending.pop()
                for child, found in list((inner.children or {}).items()):
                    if found.layer != self._layer:
                        self._remove_child(at, inner, child, keep=True)
                    elif found.children is not None:
                        pending.append(([*at, child], found))

    def _new_folder(self, around: list[str], folder: _Node, name: str, metadata: Metadata) -> None:
        children = folder.children if folder.children is not None else {}
        found = children.get(name)
        if found is None or found.children is None:
            found = _Node(self._layer, _Content(0), children={})
            self._replace(around, folder, name, found)
            self.sink.folder("/".join([*around, name]))
        # A folder of a lower layer keeps its contents, which a whiteout of this layer may still remove.
        found.layer = self._layer
        found.metadata = metadata

    def _hard_link(self, member: TarMember, around: list[str], folder: _Node, name: str, what: str) -> None:
        target = [part for part in _decode(member.link).split("/") if part not in ("", ".")]
        if not target or ".." in target:
            raise ContainerError(f"{what} is a hard link with an invalid target.", hint=AGAIN)
        parts, parent = self._walk(target[:-1], what, last=True)
        node = None if parent is None or parent.children is None else parent.children.get(target[-1])
        if node is None or node.children is not None:
            raise ContainerError(
                f"{what} is a hard link to {shown(member.link)}, which is not a file in the image.", hint=AGAIN
            )
        other, path = "/".join([*parts, target[-1]]), "/".join([*around, name])
        if other == path:
            return
        made = _Node(self._layer, node.content, target=node.target, is_file=node.is_file, metadata=node.metadata)
        node.content.names += 1
        self._replace(around, folder, name, made, grows=False)
        if parent is None or (parent.children or {}).get(target[-1]) is not node:
            raise ContainerError(f"{what} is a hard link to what it replaces.", hint=AGAIN)
        self.sink.same(path, other)

    def _folder(self, parts: list[str], what: str) -> tuple[list[str], _Node]:
        """The folder at ``parts``, links followed, made where it is missing."""
        real, node = self._walk(parts, what, last=True, make=True)
        if node is None or node.children is None:
            raise _NotAFolder(what)
        return real, node

    def _walk(self, parts: list[str], what: str, *, last: bool, make: bool = False) -> tuple[list[str], "_Node | None"]:
        """Follow a path from the root, links included. The real path, and what is there."""
        pending = list(reversed(parts))
        stack: list[tuple[str, _Node]] = []
        hops = 0
        while pending:
            name = pending.pop()
            at = stack[-1][1] if stack else self._root
            if name in ("", "."):
                continue
            if name == "..":
                if stack:
                    stack.pop()
                continue
            if at.children is None:
                raise _NotAFolder(what)
            node = at.children.get(name)
            if node is None:
                if not make:
                    return [], None
                around = [one for one, _ in stack]
                node = _Node(self._layer, _Content(0), children={})
                self._replace(around, at, name, node)
                self.sink.folder("/".join([*around, name]))
            if node.target is not None and (pending or last):
                hops += 1
                if hops > limits.MAX_HOPS:
                    raise ContainerError(f"{what} lies behind too many links, or links in a circle.", hint=AGAIN)
                if node.target.startswith("/"):
                    stack.clear()
                pending += reversed(node.target.split("/"))
                if len(pending) + len(stack) > limits.MAX_LINK:
                    raise ContainerError(f"{what} lies behind links that are too long.", hint=AGAIN)
                continue
            stack.append((name, node))
        return [name for name, _ in stack], stack[-1][1] if stack else self._root

    def _replace(self, around: list[str], folder: _Node, name: str, node: _Node, *, grows: bool = True) -> None:
        """Put a new name in place of what is there."""
        self._remove_child(around, folder, name)
        path = "/".join([*around, name])
        size = len(path.encode(errors="surrogateescape"))
        if size > limits.MAX_PATH or len(around) >= limits.MAX_DEPTH:
            raise ContainerError(f"{shown(path)} in the image is a path that is too long or too deep.", hint=_FLAT)
        if folder.children is None:
            raise _NotAFolder(shown(path))
        folder.children[name] = node
        self.entries += 1
        self.size += limits.ENTRY + (node.content.size if grows else 0)
        self.peak = max(self.peak, self.size)
        if self.entries > limits.MAX_ENTRIES:
            raise ContainerError(f"The image has more than {limits.MAX_ENTRIES} files and folders.", hint=_FLAT)
        if self._most is not None and self.peak > self._most:
            raise ContainerError(
                f"The image takes more than {self._most} bytes unpacked, the size in the manifest.",
                hint="Ask the owner to write the manifest again with what `checksum --kind oci` prints.",
            )

    def _remove_child(self, around: list[str], folder: _Node, name: str, *, keep: bool = False) -> None:
        """Remove a name and everything below it; with ``keep``, only what lower layers have."""
        children = folder.children if folder.children is not None else {}
        if name not in children:
            return
        pending: list[tuple[list[str], _Node, str, bool]] = [(around, folder, name, False)]
        while pending:
            at, parent, child, emptied = pending.pop()
            node = (parent.children or {})[child]
            if node.children and not emptied:
                pending.append((at, parent, child, True))
                inside = [*at, child]
                pending += [(inside, node, inner, False) for inner in node.children]
                continue
            if keep and (node.children or node.layer == self._layer):
                continue  # this layer has put something into the folder
            if parent.children is not None:
                del parent.children[child]
            self.entries -= 1
            self.size -= limits.ENTRY
            node.content.names -= 1
            if not node.content.names:
                self.size -= node.content.size
            self.sink.remove("/".join([*at, child]))


class _NotAFolder(ContainerError):
    """Something other than a folder lies in the middle of a path."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} lies below something that is not a folder.", hint=AGAIN)


def _parts(member: TarMember) -> list[str]:
    name = _decode(member.name)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ContainerError(f"Member {shown(member.name)} of a layer leads out of the image.", hint=SAVE)
    if any(len(part.encode(errors="surrogateescape")) > limits.MAX_NAME for part in parts) or b"\0" in member.name:
        raise ContainerError(f"Member {shown(member.name)} of a layer has an invalid name.", hint=SAVE)
    return parts


def _decode(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _metadata(member: TarMember, what: str) -> Metadata:
    user, group = member.owner()
    if user > limits.MAX_ID or group > limits.MAX_ID:
        raise ContainerError(
            f"{what} belongs to user {user} and group {group}; the sandbox has ids up to {limits.MAX_ID}.",
            hint="Build the image with `COPY --chown=0:0`, or `RUN chown -R 0:0` in the step that makes these files.",
        )
    return Metadata(member.mode & _MODES, user, group, member.modified())


def _pages(size: int, source: tuple[int, int] | None = None) -> _Content:
    return _Content(-(-size // limits.PAGE) * limits.PAGE, source)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
