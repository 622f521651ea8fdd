"""Opens an archive in the OCI image layout, and chooses its image for the machine.

docker save (25 and newer), podman and skopeo (``oci-archive``), buildah and umoci (a folder, as a tar) write it: the
file ``oci-layout``, ``index.json``, and blobs that are named by their digests. Blobs are compared with their digests
whenever they are read.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from cloister.protocol import text
from cloister.protocol.archives.detection import BLOCK, Kind, is_tar
from cloister.protocol.archives.reader import ZSTD as ZSTD_MAGIC
from cloister.protocol.archives.reader import ByteReader, Decompressed, Piece, Tapped, begins
from cloister.protocol.archives.tars import read_members
from cloister.protocol.containers import limits
from cloister.protocol.containers.documents import (
    CONFIGS,
    INDEXES,
    MANIFESTS,
    BlobDescriptor,
    ImageConfig,
    descriptors,
    image_config,
    image_manifest,
    parse,
    require_layer,
)
from cloister.protocol.containers.errors import AGAIN, SAVE, ContainerError

PLATFORM = ("linux", "amd64")
_INDEX, _LAYOUT, _OLD = "index.json", "oci-layout", "manifest.json"
_DIR, _DIR_BEGINS = "version", b"Directory Transport Version"
_BLOBS = "blobs/sha256/"
_BUILD = (
    "Build or pull the image for the machine, then save it: `docker build --platform linux/amd64`, `docker pull "
    "--platform linux/amd64`, and the same with podman."
)
_OLD_HINT = (
    "Save it with Docker 25 or newer, with `podman save --format oci-archive`, or convert it: `skopeo copy "
    "docker-archive:OLD.tar oci-archive:NEW.tar`."
)
_DIR_HINT = "Convert it: `skopeo copy dir:FOLDER oci-archive:NEW.tar`, or `podman save --format oci-archive`."
_COMPRESSED = (
    (Kind.GZIP.value, "gzip -d"),
    (ZSTD_MAGIC, "zstd -d"),
    (Kind.XZ.value, "xz -d"),
    (Kind.BZIP2.value, "bzip2 -d"),
)
_LAYERS = (Kind.GZIP.value, ZSTD_MAGIC)
"""How compressed layers begin."""


@dataclass(frozen=True)
class _Blob:
    offset: int
    size: int


class ContainerImage:
    """The image of an archive. ``digest`` is the SHA-256 (hex) of its manifest, by which registries know it."""

    def __init__(self, stream: IO[bytes]) -> None:
        """Open the archive ``stream``, a seekable file. Raises ContainerError, ArchiveError and OSError."""
        self._stream = stream
        self._blobs = _members(stream)
        chosen = self._choose()
        self.digest = chosen.digest
        manifest = image_manifest(self._document(chosen), "The image's manifest")
        for layer in manifest.layers:
            require_layer(layer)
        self.config: ImageConfig = image_config(self._document(manifest.config))
        if len(self.config.diff_ids) != len(manifest.layers):
            raise ContainerError(
                f"The image has {len(manifest.layers)} layers, but its configuration names "
                f"{len(self.config.diff_ids)}.",
                hint=AGAIN,
            )
        self._layers = manifest.layers

    def layers(self) -> Iterator[ByteReader]:
        """The tars of the layers, from the bottom up. Each is compared with both of its digests at its end."""
        for number, (layer, diff_id) in enumerate(zip(self._layers, self.config.diff_ids, strict=True)):
            what = _named(number)
            stored, unpacked = hashlib.sha256(), hashlib.sha256()
            piece = self._stored(number, stored.update)
            tar = Tapped(_plain(piece, what), unpacked.update)
            yield tar
            for reader in (tar, piece):
                while reader.some(limits.MAX_DOCUMENT):
                    pass
            if stored.hexdigest() != layer.digest:
                raise _differs(what, layer.digest, stored.hexdigest())
            if unpacked.hexdigest() != diff_id:
                raise _differs(f"{what}, uncompressed,", diff_id, unpacked.hexdigest())

    def contents(self, sources: Iterable[tuple[int, int]], most: int) -> Iterator[tuple[tuple[int, int], bytes]]:
        """The first bytes of files of layers, which have been compared with their digests, in the order of the layers.

        Each layer is decompressed once. Raises ContainerError.
        """
        for layer, group in itertools.groupby(sorted(set(sources)), key=lambda source: source[0]):
            what, wanted = _named(layer), [number for _, number in group]
            members = enumerate(read_members(_plain(self._stored(layer, lambda data: None), what)))
            for number in wanted:
                member = next((one for at, one in members if at == number), None)
                if member is None:
                    raise ContainerError(f"{what} was changed while it was read.", hint=AGAIN)
                data = bytearray()
                for piece in member.content:
                    data += piece
                    if len(data) >= most:
                        break
                yield (layer, number), bytes(data[:most])

    def _stored(self, number: int, seen: Callable[[bytes], object]) -> Piece:
        blob = self._find(self._layers[number], _named(number))
        return Piece(self._stream, blob.offset, blob.size, seen)

    def _find(self, wanted: BlobDescriptor, what: str) -> _Blob:
        found = self._blobs.get(f"{_BLOBS}{wanted.digest}")
        if found is None:
            raise ContainerError(f"{what} is not in the archive (sha256:{wanted.digest}).", hint=SAVE)
        if found.size != wanted.size:
            raise ContainerError(f"{what} has {found.size} bytes instead of {wanted.size}.", hint=AGAIN)
        return found

    def _document(self, wanted: BlobDescriptor) -> bytes:
        what = "A document of the image"
        blob = self._find(wanted, what)
        data = self._read(blob, what)
        if (found := hashlib.sha256(data).hexdigest()) != wanted.digest:
            raise _differs(what, wanted.digest, found)
        return data

    def _read(self, blob: _Blob, what: str) -> bytes:
        if blob.size > limits.MAX_DOCUMENT:
            raise ContainerError(f"{what} has {blob.size} bytes, more than {limits.MAX_DOCUMENT}.", hint=SAVE)
        self._stream.seek(blob.offset)
        return self._stream.read(blob.size)

    def _choose(self) -> BlobDescriptor:
        """The one image for the machine's platform."""
        top = self._blobs.get(_INDEX)
        if top is None or _LAYOUT not in self._blobs:
            if _DIR in self._blobs and self._read(self._blobs[_DIR], _DIR).startswith(_DIR_BEGINS):
                raise ContainerError("The folder is of the form that skopeo calls dir.", hint=_DIR_HINT)
            if _OLD in self._blobs:
                raise ContainerError(
                    "The archive is of the form that Docker before version 25 and `podman save` write.", hint=_OLD_HINT
                )
            raise ContainerError("The archive is not in the OCI image layout: it has no index.json.", hint=SAVE)
        layout = parse(self._read(self._blobs[_LAYOUT], _LAYOUT), _LAYOUT)
        if layout.text("imageLayoutVersion") != "1.0.0":
            raise layout.refusal("imageLayoutVersion", "must be 1.0.0")
        others: list[str] = []
        listed = list(self._candidates(self._read(top, _INDEX), 1, [0], others))
        found = list({one.digest: one for one in listed}.values())
        if len(found) > 1:
            # An image that was built for every processor of this kind is preferred to one for newer ones.
            found = [one for one in found if one.platform.count("/") < 2] or found
        if not found:
            said = ", ".join(sorted(set(others))[:8])
            raise ContainerError(
                "The archive has no image for linux/amd64" + (f"; it has {said}." if said else "."), hint=_BUILD
            )
        if len(found) > 1:
            raise ContainerError(f"The archive has {len(found)} images for linux/amd64.", hint="Save one image only.")
        return found[0]

    def _candidates(self, data: bytes, depth: int, count: list[int], others: list[str]) -> Iterator[BlobDescriptor]:
        """The manifests of images for the platform; what else there is is added to ``others``, for people."""
        for one in descriptors(data, "The index of the archive"):
            count[0] += 1
            if count[0] > limits.MAX_MANIFESTS:
                raise ContainerError(f"The archive has more than {limits.MAX_MANIFESTS} manifests.", hint=SAVE)
            if one.is_attestation:
                continue
            platform = one.platform
            if platform and tuple(platform.split("/")[:2]) != PLATFORM:
                others.append(text.printable(platform))
            elif f"{_BLOBS}{one.digest}" not in self._blobs:
                # Tools save an index with all platforms, and the image of the machine that they run on.
                others.append(f"{text.printable(platform) or 'something'} that is not in the archive")
            elif one.media_type in INDEXES:
                if depth >= limits.MAX_INDEXES:
                    said = f"The archive has more than {limits.MAX_INDEXES} indexes in one another."
                    raise ContainerError(said, hint=SAVE)
                yield from self._candidates(self._document(one), depth + 1, count, others)
            elif one.media_type in MANIFESTS and self._is_for_machine(one, others):
                yield one
            elif one.media_type not in MANIFESTS:
                others.append(text.printable(one.media_type)[:128])

    def _is_for_machine(self, one: BlobDescriptor, others: list[str]) -> bool:
        manifest = image_manifest(self._document(one), "A manifest of the archive")
        if manifest.config.media_type not in CONFIGS:
            others.append(f"something other than an image ({text.printable(manifest.config.media_type)[:128]})")
            return False
        config = image_config(self._document(manifest.config))
        if (config.os, config.architecture) != PLATFORM:
            others.append(text.printable(f"{config.os}/{config.architecture}"))
            return False
        return True


def _members(stream: IO[bytes]) -> dict[str, _Blob]:
    """Where each file of the archive lies. Content is skipped."""
    end = stream.seek(0, 2)
    reader = _Skipping(stream, end)
    first = reader.peek(BLOCK)
    for magic, command in _COMPRESSED:
        if first.startswith(magic):
            raise ContainerError("The archive is compressed as a whole.", hint=f"Decompress it: `{command}`.")
    if not is_tar(first):
        raise ContainerError("The file is not an image of a container: it is not a tar.", hint=SAVE)
    found: dict[str, _Blob] = {}
    for number, member in enumerate(read_members(reader, skip=True)):
        if number >= limits.MAX_MEMBERS:
            raise ContainerError(f"The archive has more than {limits.MAX_MEMBERS} members.", hint=SAVE)
        if not member.is_file or member.is_folder:
            continue
        name = member.name.decode("utf-8", "replace").removeprefix("./")
        if name in found:
            raise ContainerError(f"The archive has {text.printable(name)[:128]} twice.", hint=SAVE)
        found[name] = _Blob(reader.place(), member.size)
    return found


def _named(layer: int) -> str:
    return f"Layer {layer + 1} of the image"


def _plain(piece: Piece, what: str) -> ByteReader:
    """The tar of a layer. skopeo's copies of uncompressed layers keep the type of compressed ones."""
    for magic in _LAYERS:
        if begins(magic, piece.peek(len(magic))):
            return Decompressed(piece, magic, what)
    return piece


def _differs(what: str, expected: str, found: str) -> ContainerError:
    return ContainerError(f"{what} is damaged: expected SHA-256 {expected}, found {found}.", hint=AGAIN)


class _Skipping(ByteReader):
    """A file that is read block by block, and in which content is passed over."""

    def __init__(self, stream: IO[bytes], end: int) -> None:
        super().__init__()
        self._stream = stream
        self._end = end
        self._next = 0

    def _fill(self) -> bytes:
        self._stream.seek(self._next)
        data = self._stream.read(BLOCK)
        self._next += len(data)
        return data

    def place(self) -> int:
        """Where the next byte lies."""
        return self._next - (len(self._buffer) - self._at)

    def drop(self, size: int) -> int:
        """Pass over ``size`` bytes, or fewer at the end."""
        before = self.place()
        self._next = min(before + size, self._end)
        self._buffer, self._at = memoryview(b""), 0
        return self._next - before
