"""The computation manifest in canonical form.

Authors write YAML with paths (cloister/client/computation/manifest.py reads it). The canonical form has digests and
sizes instead, and its SHA-256 is what the parties agree on.

Long because all members of the document and the rules between them are here.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cloister.protocol import canonical, names, placement, schema
from cloister.protocol.canonical import FormatError
from cloister.protocol.signingkey import key_id, load_public_key
from cloister.protocol.text import first_invisible

MAX_SIZE = 1024 * 1024
"""Bytes of a canonical manifest."""

KINDS = ("python", "binary", "wasm", "oci")
"""The kinds of algorithm (docs/kinds.md)."""

ALGORITHM = "algorithm"
BUNDLE = "bundle"
"""Names of the algorithm's assets. A dataset's asset has the dataset's name, a file's the one that the author gives."""


@dataclass(frozen=True)
class Asset:
    """One file that a provider uploads."""

    name: str
    """``algorithm``, ``bundle``, or the name of the file or dataset."""
    kind: str
    """``algorithm``, ``bundle``, ``file`` (one that the algorithm reads) or ``dataset``."""
    provider: str
    """Name of the party that uploads it."""
    file: str
    """File name without a folder (``names.problem``)."""
    digest: str
    """SHA-256, hex."""
    size: int
    """Bytes."""
    unpack: bool = False
    """Whether the agent unpacks it: an archive or a folder."""
    unpacked_size: int = 0
    """Bytes of the unpacked files; 0 if ``unpack`` is false."""
    at: str = ""
    """Path of a file of the algorithm in its working folder; empty for all other kinds."""


@dataclass(frozen=True)
class DeclaredContainer:
    """An image of a container: SHA-256 (hex) of its manifest, by which registries know it, and the bytes of memory that
    it takes unpacked.
    """

    digest: str
    unpacked_size: int


@dataclass(frozen=True)
class Algorithm:
    """The algorithm: ``kind`` is python, binary, wasm or oci; ``bundle`` holds the wheels of kind python; ``files`` are
    what lies beside it: weights, tables, modules; ``image_packages`` are the Python packages of the image that it
    counts on, by normalised name, with their versions.
    """

    asset: Asset
    kind: str
    args: tuple[str, ...]
    environment: Mapping[str, str]
    bundle: Asset | None
    files: tuple[Asset, ...] = ()
    image_packages: Mapping[str, str] = field(default_factory=dict)
    container: DeclaredContainer | None = None
    """The image, for kind oci."""


@dataclass(frozen=True)
class ApprovalSettings:
    """The parties that must approve the result before it is released; ``sees`` is ``names`` or ``files``."""

    by: tuple[str, ...]
    sees: str


@dataclass(frozen=True)
class ResultSettings:
    """Who gets the result; ``expires`` in seconds after it is ready, ``max_size`` in bytes."""

    consumers: tuple[str, ...]
    expires: int
    max_size: int
    approval: ApprovalSettings | None = None

    @property
    def approvers(self) -> tuple[str, ...]:
        """The parties that must approve the result; none without an approval."""
        return () if self.approval is None else self.approval.by

    @property
    def readers(self) -> tuple[str, ...]:
        """Those of them that receive the files before they decide."""
        return self.approvers if self.approval is not None and self.approval.sees == "files" else ()

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every party with a slot: the consumers, then approvers that receive the files."""
        return (*self.consumers, *(name for name in self.readers if name not in self.consumers))


@dataclass(frozen=True)
class LogSettings:
    """Who may read the algorithm's output; ``max_size`` in bytes; ``release`` is ``end`` or ``live``."""

    readers: tuple[str, ...]
    max_size: int
    release: str


@dataclass(frozen=True)
class RunLimits:
    """What a run may use: seconds, bytes of memory, CPUs, processes, and bytes of the scratch disk (0: none)."""

    time: int
    memory: int
    cpus: int
    processes: int
    scratch: int = 0


@dataclass(frozen=True)
class Manifest:
    """Everything that the parties of a computation agree on."""

    id: str
    """Random, so that two identical computations have different digests."""
    name: str
    description: str
    parties: Mapping[str, bytes]
    """Name to SubjectPublicKeyInfo (DER)."""
    algorithm: Algorithm
    datasets: tuple[Asset, ...]
    results: ResultSettings
    logs: LogSettings
    limits: RunLimits

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From canonical JSON of at most 1 MiB. Raises FormatError that names the place."""
        return cls.from_value(canonical.parse_canonical(data, what="The manifest", limit=MAX_SIZE))

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From the JSON value of the canonical form. Raises FormatError that names the place."""
        what = "The manifest"
        schema.validate("manifest", value, what=what)
        parties = {
            name: canonical.from_base64(party["key"], what=f"{what}: parties.{name}.key")
            for name, party in value["parties"].items()
        }
        made = value["algorithm"]
        bundle = made.get("bundle")
        manifest = cls(
            id=value["id"],
            name=value["name"],
            description=value["description"],
            parties=parties,
            algorithm=Algorithm(
                asset=_asset(ALGORITHM, ALGORITHM, made["provider"], made),
                kind=made["kind"],
                args=tuple(made["args"]),
                environment=dict(made["environment"]),
                bundle=None if bundle is None else _asset(BUNDLE, BUNDLE, made["provider"], bundle),
                files=tuple(_asset(one["name"], "file", made["provider"], one) for one in made.get("files", ())),
                image_packages=dict(made.get("image_packages", {})),
                container=DeclaredContainer(**made["container"]) if "container" in made else None,
            ),
            datasets=tuple(_asset(data["name"], "dataset", data["provider"], data) for data in value["datasets"]),
            results=ResultSettings(
                consumers=tuple(value["results"]["consumers"]),
                expires=value["results"]["expires"],
                max_size=value["results"]["max"],
                approval=_approval(value["results"].get("approval")),
            ),
            logs=LogSettings(
                readers=tuple(value["logs"]["readers"]),
                max_size=value["logs"]["max"],
                release=value["logs"]["release"],
            ),
            limits=RunLimits(**value["limits"]),
        )
        manifest._check(what)
        return manifest

    def value(self) -> dict[str, Any]:
        """The canonical form as a JSON value."""
        algorithm: dict[str, Any] = {
            "provider": self.algorithm.asset.provider,
            "kind": self.algorithm.kind,
            "args": list(self.algorithm.args),
            "environment": dict(self.algorithm.environment),
            **_file(self.algorithm.asset),
        }
        if self.algorithm.bundle is not None:
            algorithm["bundle"] = _file(self.algorithm.bundle)
        if self.algorithm.image_packages:
            algorithm["image_packages"] = dict(self.algorithm.image_packages)
        if self.algorithm.container is not None:
            container = self.algorithm.container
            algorithm["container"] = {"digest": container.digest, "unpacked_size": container.unpacked_size}
        if self.algorithm.files:
            algorithm["files"] = [{"name": one.name, "at": one.at, **_file(one)} for one in self.algorithm.files]
        return {
            "version": 1,
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "parties": {name: {"key": canonical.to_base64(spki)} for name, spki in self.parties.items()},
            "algorithm": algorithm,
            "datasets": [
                {
                    "name": data.name,
                    "provider": data.provider,
                    "unpack": data.unpack,
                    **({"unpacked_size": data.unpacked_size} if data.unpack else {}),
                    **_file(data),
                }
                for data in self.datasets
            ],
            "results": {
                "consumers": list(self.results.consumers),
                "expires": self.results.expires,
                "max": self.results.max_size,
                **(
                    {"approval": {"by": list(self.results.approval.by), "sees": self.results.approval.sees}}
                    if self.results.approval is not None
                    else {}
                ),
            },
            "logs": {"readers": list(self.logs.readers), "max": self.logs.max_size, "release": self.logs.release},
            "limits": {
                "time": self.limits.time,
                "memory": self.limits.memory,
                "cpus": self.limits.cpus,
                "processes": self.limits.processes,
                **({"scratch": self.limits.scratch} if self.limits.scratch else {}),
            },
        }

    def encode(self) -> bytes:
        """Canonical JSON: these bytes are digested."""
        return canonical.encode(self.value())

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes: what the parties agree on."""
        return hashlib.sha256(self.encode()).digest()

    def assets(self) -> tuple[Asset, ...]:
        """Everything that is uploaded, algorithm first."""
        bundle = () if self.algorithm.bundle is None else (self.algorithm.bundle,)
        return (self.algorithm.asset, *bundle, *self.algorithm.files, *self.datasets)

    def roles(self, spki: bytes) -> tuple[str, ...]:
        """The roles that the manifest gives to a key, sorted. Owners are in the boot configuration."""
        parties = self.names(spki)
        found = {"member"} if parties else set()
        for name in parties:
            if name == self.algorithm.asset.provider:
                found.add("algorithm-provider")
            if any(name == data.provider for data in self.datasets):
                found.add("dataset-provider")
            if name in self.results.recipients:
                found.add("result-consumer")
            if name in self.results.approvers:
                found.add("result-approver")
            if name in self.logs.readers:
                found.add("log-reader")
        return tuple(sorted(found))

    def names(self, spki: bytes) -> tuple[str, ...]:
        """The parties that have this key: one or none."""
        return tuple(name for name, key in self.parties.items() if key == spki)

    def _check(self, what: str) -> None:
        seen: dict[str, str] = {}
        for name, spki in self.parties.items():
            try:
                load_public_key(spki)
            except FormatError as error:
                raise FormatError(f"{what}: parties.{name}.key cannot be used: {error.message}") from error
            if key_id(spki) in seen:
                raise FormatError(f"{what}: the parties {seen[key_id(spki)]} and {name} have the same key.")
            seen[key_id(spki)] = name
        texts = [("description", self.description)]
        texts += [(f"algorithm.args.{index}", text) for index, text in enumerate(self.algorithm.args)]
        texts += [(f"algorithm.environment.{name}", text) for name, text in self.algorithm.environment.items()]
        for place, text in texts:
            if (invisible := first_invisible(text)) is not None:
                raise FormatError(f"{what}: {place} contains the invisible character {invisible}.")
        named = [("algorithm.provider", self.algorithm.asset.provider)]
        named += [(f"datasets.{data.name}.provider", data.provider) for data in self.datasets]
        named += [("results.consumers", name) for name in self.results.consumers]
        named += [("results.approval.by", name) for name in self.results.approvers]
        named += [("logs.readers", name) for name in self.logs.readers]
        for place, name in named:
            if name not in self.parties:
                raise FormatError(f"{what}: {place} names {name!r}, which is not among the parties.")
        for place, listed in (
            ("results.consumers", self.results.consumers),
            ("results.approval.by", self.results.approvers),
            ("logs.readers", self.logs.readers),
        ):
            if len(set(listed)) != len(listed):
                raise FormatError(f"{what}: {place} names a party twice.")
        if self.results.approval is not None and self.logs.release == "live":
            raise FormatError(
                f"{what}: logs.release must be end beside results.approval, not live: what the algorithm prints is "
                "held back until the result is approved."
            )
        if self.algorithm.bundle is not None and self.algorithm.kind != "python":
            raise FormatError(f"{what}: algorithm.bundle needs kind python, not {self.algorithm.kind}.")
        if self.algorithm.image_packages and self.algorithm.kind != "python":
            raise FormatError(f"{what}: algorithm.image_packages needs kind python, not {self.algorithm.kind}.")
        if (self.algorithm.container is None) != (self.algorithm.kind != "oci"):
            raise FormatError(f"{what}: algorithm.container must be there if and only if algorithm.kind is oci.")
        main, files = self.algorithm.asset.file, self.algorithm.files
        places = {ALGORITHM: "algorithm", BUNDLE: "algorithm.bundle"}
        places |= {one.name: f"algorithm.files.{index}" for index, one in enumerate(files)}
        for asset in self.assets():
            problem = placement.dataset_problem if asset.kind == "dataset" and not asset.unpack else names.problem
            if (why := problem(asset.file)) is not None:
                place = f"datasets.{asset.name}" if asset.kind == "dataset" else places[asset.name]
                raise FormatError(f"{what}: {place}.file {why}: {names.shown(asset.file)}.")
        taken: set[str] = {ALGORITHM, BUNDLE}
        if main in placement.OWN_NAMES:
            raise FormatError(f"{what}: algorithm.file must not be {main}: a folder of the sandbox has this name.")
        if (found := placement.problem(main, [one.at for one in files])) is not None:
            raise FormatError(f"{what}: algorithm.files.{found[0]}.at {found[1]}.")
        for asset in (*files, *self.datasets):
            if asset.name in taken:
                raise FormatError(f"{what}: two assets have the name {asset.name!r}.")
            taken.add(asset.name)
        if same := names.twins(data.name if data.unpack else data.file for data in self.datasets):
            one, other = (names.shown(f"datasets/{name}") for name in same)
            both = f"{one} and {other}, which are the same on some systems" if one != other else one
            raise FormatError(f"{what}: two datasets would have the path {both}.")


def _approval(value: dict[str, Any] | None) -> ApprovalSettings | None:
    return None if value is None else ApprovalSettings(by=tuple(value["by"]), sees=value["sees"])


def _asset(name: str, kind: str, provider: str, value: dict[str, Any]) -> Asset:
    unpack = value.get("unpack", False)
    if unpack != ("unpacked_size" in value):
        raise FormatError(f"The manifest: datasets.{name} must have unpacked_size if and only if unpack is true.")
    return Asset(
        name=name,
        kind=kind,
        provider=provider,
        file=value["file"],
        digest=value["digest"],
        size=value["size"],
        unpack=unpack,
        unpacked_size=value.get("unpacked_size", 0),
        at=value.get("at", ""),
    )


def _file(asset: Asset) -> dict[str, Any]:
    return {"file": asset.file, "digest": asset.digest, "size": asset.size}
