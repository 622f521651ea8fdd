"""The JSON documents of an image: strictly typed where they decide something, open elsewhere, as OCI demands.

``crun`` drops members of the wrong type without a word, and other tools differ in what they take: those written in Go
take a name in any letters, large or small. So everything that is used is checked here: names, types, sizes, digests and
media types.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloister.protocol import text
from cloister.protocol.containers import limits
from cloister.protocol.containers.errors import SAVE, ContainerError

_OCI, _DOCKER = "application/vnd.oci.image.", "application/vnd.docker."
INDEXES = frozenset({f"{_OCI}index.v1+json", f"{_DOCKER}distribution.manifest.list.v2+json"})
MANIFESTS = frozenset({f"{_OCI}manifest.v1+json", f"{_DOCKER}distribution.manifest.v2+json"})
CONFIGS = frozenset({f"{_OCI}config.v1+json", f"{_DOCKER}container.image.v1+json"})
LAYERS = frozenset(
    family + suffix
    for family, suffixes in (
        (f"{_OCI}layer.v1.tar", ("", "+gzip", "+zstd")),
        (f"{_OCI}layer.nondistributable.v1.tar", ("", "+gzip", "+zstd")),
        (f"{_DOCKER}image.rootfs.diff.tar", ("", ".gzip", ".zstd")),
        (f"{_DOCKER}image.rootfs.foreign.diff.tar", ("", ".gzip")),
    )
    for suffix in suffixes
)
"""Media types of layers."""

_ATTESTATION = ("vnd.docker.reference.type", "attestation-manifest")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MAX_DEPTH = 32
_ROOT = "the document"


@dataclass(frozen=True)
class BlobDescriptor:
    """A blob: its media type, SHA-256 (hex) and bytes; ``platform`` as ``os/architecture/variant``, "" if unsaid."""

    media_type: str
    digest: str
    size: int
    platform: str = ""
    is_attestation: bool = False


@dataclass(frozen=True)
class ContainerManifest:
    """The parts of an image: its configuration, and its layers from the bottom up."""

    config: BlobDescriptor
    layers: tuple[BlobDescriptor, ...]


@dataclass(frozen=True)
class ImageConfig:
    """What an image says about its process. ``diff_ids`` are the SHA-256 (hex) of the layers, uncompressed."""

    os: str
    architecture: str
    diff_ids: tuple[str, ...]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    folder: str
    volumes: tuple[str, ...]


class Members:
    """The members of a JSON object, each with its type. ``what`` names the object in errors."""

    def __init__(self, value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise ContainerError(f"{what} must be an object.", hint=SAVE)
        self._value = value
        self._spellings: dict[str, list[str]] = {}
        for name in value:
            self._spellings.setdefault(name.casefold(), []).append(name)
        self.what = what

    def refusal(self, name: str, problem: str) -> ContainerError:
        """An error about a member."""
        return ContainerError(f"{self.what}: {name} {problem}.", hint=SAVE)

    def _get(self, name: str) -> Any:
        """A member; None if it is missing. docker and podman would also take it in other letters."""
        found = self._spellings.get(name.casefold(), [name])
        if found != [name]:
            spellings = ", ".join(_shown(one) for one in found[:4])
            raise self.refusal(name, f"must be written in these letters, and once: found {spellings}")
        return self._value.get(name)

    def text(self, name: str, *, most: int = limits.MAX_TEXT, default: str | None = None) -> str:
        """Text without zero characters; ``default`` if it is missing or null, which is an error without one."""
        found = self._get(name)
        if found is None and default is not None:
            return default
        return self._text(name, found, most)

    def _text(self, name: str, value: Any, most: int) -> str:
        if not isinstance(value, str):
            raise self.refusal(name, "must be text")
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            raise self.refusal(name, "has an unpaired surrogate") from error
        if size > most or "\0" in value:
            raise self.refusal(name, f"must have at most {most} bytes, none of them zero")
        return value

    def size(self, name: str) -> int:
        """A number of bytes."""
        found = self._get(name)
        if type(found) is not int or not 0 <= found < 2**53:
            raise self.refusal(name, "must be a number of bytes")
        return found

    def digest(self, name: str) -> str:
        """A SHA-256 digest, in hex."""
        return self._digest(name, self._get(name))

    def _digest(self, name: str, value: Any) -> str:
        found = _DIGEST.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise self.refusal(name, "must be a SHA-256 digest, like sha256:0123...")
        return found[1]

    def digests(self, name: str) -> tuple[str, ...]:
        """A list of digests."""
        found = self.list(name, limits.MAX_LAYERS)
        return tuple(self._digest(f"{name}.{number}", one) for number, one in enumerate(found))

    def list(self, name: str, most: int) -> list[Any]:
        """A list of at most ``most`` entries; empty if it is missing or null."""
        found = self._get(name)
        if found is None:
            return []
        if not isinstance(found, list) or len(found) > most:
            raise self.refusal(name, f"must be a list of at most {most} entries")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self.list(name, limits.MAX_WORDS)
        return tuple(self._text(f"{name}.{number}", one, limits.MAX_TEXT) for number, one in enumerate(found))

    def object(self, name: str) -> "Members":
        """An object; empty if it is missing or null."""
        found = self._get(name)
        return Members({} if found is None else found, f"{self.what}: {name}")

    def has(self, name: str) -> bool:
        """Whether there is a member of this name that is not null."""
        return self._get(name) is not None

    def names(self) -> tuple[str, ...]:
        """The names of all members."""
        return tuple(self._value)


def parse(data: bytes, what: str) -> Members:
    """A JSON object. Raises ContainerError, also for a member that comes twice."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ContainerError(f"{what} has a member twice.", hint=SAVE)
        return found

    if len(data) > limits.MAX_DOCUMENT:
        raise ContainerError(f"{what} has more than {limits.MAX_DOCUMENT} bytes.", hint=SAVE)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=members)
    except (ValueError, RecursionError) as error:
        raise ContainerError(f"{what} is not JSON.", hint=SAVE) from error
    return Members(value, what)


def descriptors(data: bytes, what: str) -> tuple[BlobDescriptor, ...]:
    """The entries of an index. Raises ContainerError."""
    index = parse(data, what)
    _version(index)
    if index.has("mediaType") and index.text("mediaType") not in INDEXES:
        raise index.refusal("mediaType", f"must be that of an index, not {_shown(index.text('mediaType'))}")
    listed = index.list("manifests", limits.MAX_MANIFESTS)
    return tuple(_descriptor(Members(one, f"{what}: manifests.{number}")) for number, one in enumerate(listed))


def image_manifest(data: bytes, what: str) -> ContainerManifest:
    """A manifest. Raises ContainerError, also for one of something other than an image of a container."""
    manifest = parse(data, what)
    _version(manifest)
    if manifest.has("mediaType") and manifest.text("mediaType") not in MANIFESTS:
        raise manifest.refusal("mediaType", f"must be that of a manifest, not {_shown(manifest.text('mediaType'))}")
    config = _descriptor(manifest.object("config"))
    listed = manifest.list("layers", limits.MAX_LAYERS)
    layers = tuple(_descriptor(Members(one, f"{what}: layers.{number}")) for number, one in enumerate(listed))
    return ContainerManifest(config, layers)


def require_layer(layer: BlobDescriptor) -> None:
    """Raises ContainerError for a layer whose media type is unknown or encrypted."""
    if layer.media_type not in LAYERS:
        kind = "encrypted" if layer.media_type.endswith("+encrypted") else "of the unknown type"
        raise ContainerError(f"A layer of the image is {kind} ({_shown(layer.media_type)}).", hint=SAVE)


def image_config(data: bytes, what: str = "The image's configuration") -> ImageConfig:
    """A configuration. Raises ContainerError."""
    value = parse(data, what)
    root = value.object("rootfs")
    if root.text("type") != "layers":
        raise root.refusal("type", 'must be "layers"')
    config = value.object("config")
    environment: dict[str, str] = {}
    for number, pair in enumerate(config.texts("Env")):
        name, equals, content = pair.partition("=")
        if not name or not equals:
            raise config.refusal(f"Env.{number}", "must be NAME=VALUE")
        environment[name] = content
    folder = config.text("WorkingDir", most=limits.MAX_PATH, default="") or "/"
    if not folder.startswith("/") or ".." in folder.split("/"):
        raise config.refusal("WorkingDir", "must be an absolute path without ..")
    return ImageConfig(
        os=value.text("os", most=64),
        architecture=value.text("architecture", most=64),
        diff_ids=root.digests("diff_ids"),
        entrypoint=config.texts("Entrypoint"),
        command=config.texts("Cmd"),
        environment=environment,
        user=config.text("User", most=256, default=""),
        folder=folder,
        volumes=config.object("Volumes").names(),
    )


def _version(value: Members) -> None:
    if value.has("schemaVersion") and value.size("schemaVersion") != 2:
        raise value.refusal("schemaVersion", "must be 2")


def _descriptor(value: Members) -> BlobDescriptor:
    platform = ""
    if value.has("platform"):
        said = value.object("platform")
        parts = [said.text(name, most=64) for name in ("os", "architecture")]
        parts.append(said.text("variant", most=64, default=""))
        platform = "/".join(part for part in parts if part)
    name, expected = _ATTESTATION
    return BlobDescriptor(
        media_type=value.text("mediaType", most=256),
        digest=value.digest("digest"),
        size=value.size("size"),
        platform=platform,
        is_attestation=value.object("annotations").text(name, default="") == expected,
    )


def _shown(said: str) -> str:
    return text.printable(said)[:128]
