"""A party's file or folder as an asset: name, digest and size for the manifest, and its bytes."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path

from cloister import userfile
from cloister.client.computation import digests, leftovers
from cloister.client.computation.digests import Digest, DigestCache, Identity
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, Sentences, one_line
from cloister.client.script.lookalikes import lookalike_file
from cloister.errors import InputError
from cloister.protocol import names, signingkey
from cloister.protocol.archives import unpacking
from cloister.protocol.archives.errors import ArchiveError, NotAnArchive
from cloister.protocol.archives.tree import ArchiveTree
from cloister.protocol.foldertar import FolderTar
from cloister.protocol.manifest import Asset, Manifest
from cloister.units import format_size
from cloister.userfile import FilePath

_CHUNK = 1024 * 1024

ReadProgress = Callable[[int], None]
"""Called with the number of bytes read so far."""


@dataclass(frozen=True, repr=False)
class LocalAsset:
    """An asset as a manifest describes it.

    ``file`` is the name without folders (for a folder, that of its tar), ``digest`` SHA-256 in hex, ``size`` in bytes.
    ``unpacked_size`` is the bytes of all files of an archive or folder, None of anything else; ``in_memory`` is what
    they take in the guest's memory, 0 if that is not known. ``leftovers`` are the paths in it that systems and programs
    leave in folders, as far as it was read. ``identity`` tells whether it was changed since; ``remembered`` says that
    it was read earlier and not again (``digests.py``).
    """

    path: Path
    file: str
    digest: str
    size: int
    unpacked_size: int | None = None
    in_memory: int = 0
    leftovers: tuple[str, ...] = ()
    identity: Identity | None = field(default=None, compare=False, repr=False)
    remembered: bool = field(default=False, compare=False)

    def __repr__(self) -> str:
        return one_line(f"LocalAsset {names.shown(self.file)}, {format_size(self.size)}, SHA-256 {self.digest}")

    def _repr_html_(self) -> str:
        facts = [("file", self.file), ("digest", self.digest), ("size", str(self.size))]
        if self.unpacked_size is not None:
            facts += [("unpack", "true"), ("unpacked_size", str(self.unpacked_size))]
        warnings = tuple(filter(None, (self.warning, self.name_warning)))
        notes = (Sentences(warnings, warning=True),) if warnings else ()
        return fragment("As the manifest names it", Facts.of(facts, code=True), *notes)

    def beyond(self, unpacked_size: int) -> int:
        """Bytes of memory that its files take beyond what a manifest states: the rest of their pages, and inodes."""
        return max(0, self.in_memory - unpacked_size)

    @property
    def warning(self) -> str:
        """A sentence about what was probably not meant to be in it; usually empty."""
        return leftovers.warning(self.file, self.leftovers)

    @property
    def name_warning(self) -> str:
        """A sentence about a program or module that is named like a module of Python; usually empty."""
        return lookalike_file(self.file)


def describe_asset(
    path: FilePath, progress: ReadProgress = lambda done: None, *, unpack: bool | None = None
) -> LocalAsset:
    """Compute what a manifest says about an asset, and read an archive as the sandbox will.

    Args:
        path: a file, or a folder, which counts as its deterministic tar: times, umask and file order do not matter.
        progress: called with the number of bytes of a file that were read so far.
        unpack: whether the sandbox unpacks it; None: if it is an archive.

    Returns:
        Name, digest and size, and the unpacked size unless ``unpack`` is false.

    Raises:
        ArchiveError: it must be unpacked and cannot be: the launcher would refuse it.
        InputError: the asset cannot be read, or no manifest can have its name.
    """
    path = Path(path)
    file = bare_name(path)
    try:
        with open_asset(path) as stream:
            return _describe(path, file, stream, progress, unpack)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    except ArchiveError as error:
        raise type(error)(f"{path}: {error.message}", hint=error.hint) from error


def _describe(
    path: Path, file: str, stream: FolderTar | BufferedReader, progress: ReadProgress, unpack: bool | None
) -> LocalAsset:
    cache, began, before = DigestCache(), digests.now(), identify(path, stream)
    found = cache.find(before, examined=unpack is not False)
    remembered = found is not None
    if found is None:
        found = _read(stream, progress, unpack)
        if identify_again(path, stream) == before:
            cache.keep(before, found, began=began)
    else:
        progress(found.size)
    made = LocalAsset(path, file, found.digest, found.size, identity=before, remembered=remembered)
    if isinstance(stream, FolderTar):
        made = replace(made, leftovers=leftovers.in_folder(path))
        return made if unpack is False else replace(made, unpacked_size=stream.unpacked, in_memory=stream.in_memory)
    if unpack is False or found.unpacked_size is None:
        return made
    return replace(made, unpacked_size=found.unpacked_size, in_memory=found.in_memory, leftovers=found.leftovers)


def _read(stream: FolderTar | BufferedReader, progress: ReadProgress, unpack: bool | None) -> Digest:
    read = _Digest(progress)
    if unpack is not False and not isinstance(stream, FolderTar):
        noticing = leftovers.Noticing()
        try:
            contents = unpacking.read_into(stream, ArchiveTree(noticing), read.take)
        except NotAnArchive:
            if unpack:
                raise
            stream.seek(0)
            read = _Digest(progress)
        else:
            noticed = tuple(noticing.found)
            return Digest(read.state.hexdigest(), read.done, True, contents.size, contents.in_memory, noticed)
    buffer = memoryview(bytearray(_CHUNK))
    while size := stream.readinto(buffer):
        read.take(buffer[:size])
    return Digest(read.state.hexdigest(), read.done, unpack is not False)


def identify(path: Path, stream: FolderTar | BufferedReader) -> Identity:
    """What an opened asset at ``path`` was when it was opened. Raises OSError."""
    if isinstance(stream, FolderTar):
        return Identity.of_folder(path, stream)
    return Identity.of_file(stream.fileno())


def identify_again(path: Path, stream: FolderTar | BufferedReader) -> Identity:
    """What it is now. Raises OSError, and ArchiveError for a folder."""
    if isinstance(stream, FolderTar):
        with FolderTar(path) as now:
            return Identity.of_folder(path, now)
    return Identity.of_file(stream.fileno())


class _Digest:
    """SHA-256 and size of what was read."""

    def __init__(self, progress: ReadProgress) -> None:
        self.state = hashlib.sha256()
        self.done = 0
        self._progress = progress

    def take(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self.state.update(data)
        self.done += len(data)
        self._progress(self.done)


def check_asset(asset: Asset, path: Path, progress: ReadProgress = lambda done: None) -> LocalAsset:
    """The file or folder at ``path``. Raises InputError unless it is ``asset``, and can be unpacked if it must be."""
    try:
        found = describe_asset(path, progress, unpack=asset.unpack)
    except ArchiveError as error:
        # Most often this is not the agreed file, so the message says that first, and then why it is not an archive.
        found = describe_asset(path, progress, unpack=False)
        if (found.digest, found.size) == (asset.digest, asset.size):
            raise
        raise _another_file(asset, found, error.message.removeprefix(f"{path}: ")) from error
    if (found.digest, found.size) == (asset.digest, asset.size):
        if (found.unpacked_size or 0) > asset.unpacked_size:
            raise InputError(
                f"{path} unpacks to {found.unpacked_size} bytes, but unpacked_size of {asset.name} in the manifest is "
                f"{asset.unpacked_size}.",
                hint="Nothing was uploaded. Ask the owner for a manifest with the value that `checksum` prints.",
            )
        return found
    raise _another_file(asset, found)


def _another_file(asset: Asset, found: LocalAsset, problem: str = "") -> InputError:
    said = (
        f"{found.path} is not what the manifest says about {asset.name}: "
        f"expected SHA-256 {asset.digest} ({format_size(asset.size)}), "
        f"found {found.digest} ({format_size(found.size)})."
    )
    hint = "Nothing was uploaded. Name the file that the parties agreed on."
    return InputError(f"{said} {problem}".rstrip(), hint=hint)


def bare_name(path: Path) -> str:
    """The name that an asset at ``path`` has in a manifest. Raises InputError for one that no asset may have."""
    try:
        name = f"{path.resolve().name}.tar" if path.is_dir() else path.name
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    if (why := names.problem(name)) is not None:
        raise InputError(f"{names.shown(name)} cannot be the name of an asset: it {why}.", hint="Rename the file.")
    return name


def dataset_of(manifest: Manifest, key: bytes, name: str | None, path: Path) -> Asset:
    """The dataset that a provider means: by name, or its only one, or the one with the file's name.

    Raises InputError.
    """
    if name is not None:
        for data in manifest.datasets:
            if data.name == name:
                return data
        known = ", ".join(data.name for data in manifest.datasets) or "none"
        raise InputError(f"The manifest has no dataset {name!r}; its datasets are: {known}.")
    owners = manifest.names(key)
    mine = [data for data in manifest.datasets if data.provider in owners]
    if not mine:
        raise InputError(
            f"The manifest has no dataset of the key {signingkey.key_id(key)}.",
            hint="Name another key with --key; `review` shows who provides what.",
        )
    if len(mine) > 1:
        here = names.same_as(bare_name(path))  # another system may have composed the characters of the copy's name
        named = [data for data in mine if names.same_as(data.file) == here]
        if len(named) != 1:
            several = ", ".join(data.name for data in mine)
            raise InputError(f"You provide several datasets: {several}.", hint="Name one with --name.")
        return named[0]
    return mine[0]


def open_asset(path: Path) -> FolderTar | BufferedReader:
    """The bytes of an asset, seekable: a file, or the tar of a folder, made while it is read. Raises InputError."""
    try:
        return FolderTar(path) if path.is_dir() else userfile.open_regular(path)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
