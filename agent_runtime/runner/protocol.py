"""The messages between agent and runner: JSON lines on a local socket.

The runner is root and the agent may be compromised, so the runner parses requests strictly. Standard library only, and
the rules of a manifest that need no more. Long because all that the agent can ask of root is here.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from agent_runtime.scratch.volume import Seal
from cloister.protocol import names, placement

MAX_REQUEST = 4 * 1024 * 1024
"""Maximum bytes of a request line."""

MAX_ANSWER = 4096
KINDS = ("python", "binary", "wasm", "oci")
"""The kinds of algorithm that the runner starts."""

_MAX_WORDS = 256
_MAX_TEXT = 4096
_MAX_SIZE = 2**53 - 1
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]*\Z")


class RequestError(ValueError):
    """The runner does not accept a request."""


class RunOutcome(StrEnum):
    """How a run ended. Every session can see this, so there are no details."""

    OK = "OK"
    EXIT_STATUS = "EXIT_STATUS"
    TIME_LIMIT = "TIME_LIMIT"
    MEMORY_LIMIT = "MEMORY_LIMIT"
    RESULT_LIMIT = "RESULT_LIMIT"
    RESULT_INVALID = "RESULT_INVALID"
    NO_RESULT = "NO_RESULT"
    STOPPED = "STOPPED"
    LAUNCH = "LAUNCH"
    SCRATCH = "SCRATCH"


class RunnerOperation(StrEnum):
    """The runner's operations."""

    RUN = "run"
    OPEN_SCRATCH = "open-scratch"
    MAKE_VOLUME = "make-volume"
    CLOSE_SCRATCH = "close-scratch"
    POWER_OFF = "power-off"
    REBOOT = "reboot"


@dataclass(frozen=True)
class PackedDataset:
    """A dataset that the sandbox unpacks into a folder of this name; ``size`` is its unpacked size in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class PlacedFile:
    """A file of the algorithm: its asset's name, and where it is in the working folder."""

    name: str
    at: str


@dataclass(frozen=True)
class ScratchRequest:
    """A request about the scratch disk. ``size`` in bytes: what the boot configuration declares, or a volume's."""

    operation: RunnerOperation
    size: int

    def encode(self) -> bytes:
        """One line of JSON, with its newline."""
        return json.dumps(asdict(self)).encode() + b"\n"


@dataclass(frozen=True)
class ScratchJob:
    """What a run has on the scratch disk. Sizes are in bytes; 0: nothing."""

    uploaded: int
    """Size of the volume of uploaded assets."""

    seal: Seal | None
    """That volume's :class:`~agent_runtime.scratch.volume.Seal`; None without such assets."""

    unpacked: int
    """Size of the volume that datasets, wheels and a container image are unpacked to."""

    datasets: tuple[str, ...]
    """Names of the datasets that are unpacked there."""

    wheels: bool
    """Whether the wheels are installed there."""

    image: bool
    """Whether the container image is unpacked there."""

    written: int
    """Size of the file system for what the algorithm writes."""

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From a JSON value. Raises RequestError."""
        if not isinstance(value, dict) or set(value) != set(cls.__dataclass_fields__):
            raise RequestError("The request has an invalid scratch disk.")
        try:
            seal = None if value["seal"] is None else Seal.from_value(value["seal"])
        except ValueError as error:
            raise RequestError("The request has an invalid seal.") from error
        if not all(isinstance(value[name], bool) for name in ("wheels", "image")):
            raise RequestError("The request has an invalid scratch disk.")
        return cls(
            uploaded=_number(value["uploaded"], 0, _MAX_SIZE),
            seal=seal,
            unpacked=_number(value["unpacked"], 0, _MAX_SIZE),
            datasets=tuple(_string(item, _NAME) for item in _list(value["datasets"])),
            wheels=value["wheels"],
            image=value["image"],
            written=_number(value["written"], 0, _MAX_SIZE),
        )


@dataclass(frozen=True)
class JobContainer:
    """The image of an algorithm of kind oci: its manifest's SHA-256 (hex), and the bytes that it takes unpacked."""

    digest: str
    size: int


@dataclass(frozen=True)
class Job:
    """One run, as the manifest declares it. Sizes are in bytes."""

    kind: str
    """The algorithm's kind, one of :data:`KINDS`."""

    algorithm: str
    """File name of the algorithm."""

    wheels: bool
    """Whether the algorithm has a bundle of wheels."""

    files: tuple[PlacedFile, ...]
    """The files beside the algorithm."""

    datasets: tuple[str, ...]
    """File names of the datasets that are not unpacked."""

    packed: tuple[PackedDataset, ...]
    """The datasets to unpack."""

    args: tuple[str, ...]
    """Command line arguments of the algorithm."""

    environment: Mapping[str, str]
    """Environment variables of the algorithm."""

    seconds: int
    """Maximum wall time."""

    memory: int
    """Memory for the algorithm's processes."""

    cpus: int
    """Number of CPUs."""

    processes: int
    """Maximum number of processes and threads."""

    results: int
    """Maximum size of all result files."""

    output: int
    """Maximum size of the logs that are kept."""

    scratch: ScratchJob | None = None
    """What it has on the scratch disk."""

    container: JobContainer | None = None
    """The image, if it is of kind oci; None for all others."""

    version: int = field(default=1)
    """Version of this message."""

    @property
    def packed_to_disk(self) -> tuple[PackedDataset, ...]:
        """The datasets that are unpacked to the scratch disk."""
        return tuple(item for item in self.packed if self.scratch is not None and item.name in self.scratch.datasets)

    @property
    def packed_in_memory(self) -> tuple[PackedDataset, ...]:
        """The datasets that the launcher unpacks in memory."""
        return tuple(item for item in self.packed if item not in self.packed_to_disk)

    @property
    def packs_wheels(self) -> bool:
        """Whether the wheels are installed to the scratch disk."""
        return self.wheels and self.scratch is not None and self.scratch.wheels

    @property
    def packs_image(self) -> bool:
        """Whether the container image is unpacked to the scratch disk."""
        return self.container is not None and self.scratch is not None and self.scratch.image

    @property
    def packs(self) -> bool:
        """Whether anything is unpacked to the scratch disk."""
        return self.packs_wheels or self.packs_image or bool(self.packed_to_disk)

    @property
    def written(self) -> int:
        """Bytes on the scratch disk for what the algorithm writes."""
        return self.scratch.written if self.scratch is not None else 0

    def encode(self) -> bytes:
        """One line of JSON, with its newline."""
        return json.dumps({"operation": RunnerOperation.RUN, **asdict(self)}).encode() + b"\n"

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From the JSON value of a request. Raises RequestError."""
        members = {"operation", *cls.__dataclass_fields__}
        if not isinstance(value, dict) or set(value) != members:
            raise RequestError("The request to run has missing or unknown members.")
        if value["version"] != 1 or value["kind"] not in KINDS:
            raise RequestError("The request has an unsupported version or kind.")
        algorithm = _file(value["algorithm"])
        if algorithm in placement.OWN_NAMES or not isinstance(value["wheels"], bool):
            raise RequestError("The request has an invalid algorithm.")
        if value["wheels"] and value["kind"] != "python":
            raise RequestError("The request has wheels for an algorithm that is not a Python program.")
        files = _files(value["files"], algorithm)
        packed = tuple(_packed(item) for item in _list(value["packed"]))
        datasets = tuple(_file(item, placement.dataset_problem) for item in _list(value["datasets"]))
        places = [*datasets, *(item.name for item in packed)]
        if names.twins(places) is not None:
            raise RequestError("The request names a dataset twice.")
        environment = value["environment"]
        if not isinstance(environment, dict) or len(environment) > _MAX_WORDS:
            raise RequestError("The request has an invalid environment.")
        return cls(
            kind=value["kind"],
            algorithm=algorithm,
            wheels=value["wheels"],
            files=files,
            datasets=datasets,
            packed=packed,
            args=tuple(_string(item, _TEXT) for item in _list(value["args"])),
            environment={_string(name, _VARIABLE): _string(text, _TEXT) for name, text in environment.items()},
            seconds=_number(value["seconds"], 1, 31_622_400),
            memory=_number(value["memory"], 1, _MAX_SIZE),
            cpus=_number(value["cpus"], 1, 4096),
            processes=_number(value["processes"], 1, 65536),
            results=_number(value["results"], 0, _MAX_SIZE),
            output=_number(value["output"], 0, 64 * 1024 * 1024),
            scratch=None if value["scratch"] is None else ScratchJob.from_value(value["scratch"]),
            container=_container(value["container"], value["kind"]),
        )


_WITHOUT_SIZE = (RunnerOperation.POWER_OFF, RunnerOperation.REBOOT, RunnerOperation.CLOSE_SCRATCH)
_WITH_SIZE = (RunnerOperation.OPEN_SCRATCH, RunnerOperation.MAKE_VOLUME)


def parse_request(line: bytes) -> Job | ScratchRequest | RunnerOperation:
    """Parse a request line: a job, or another operation. Raises RequestError."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError("The request is not JSON.") from error
    operation = value.get("operation") if isinstance(value, dict) else None
    if operation == RunnerOperation.RUN:
        return Job.from_value(value)
    if operation in _WITHOUT_SIZE and set(value) == {"operation"}:
        return RunnerOperation(operation)
    if operation in _WITH_SIZE and set(value) == {"operation", "size"}:
        return ScratchRequest(RunnerOperation(operation), _number(value["size"], 1, _MAX_SIZE))
    raise RequestError("The request names an unknown operation.")


def _container(value: Any, kind: str) -> JobContainer | None:
    if (value is None) != (kind != "oci"):
        raise RequestError("The request has an image for another kind, or no image.")
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"digest", "size"}:
        raise RequestError("The request has an invalid image.")
    return JobContainer(_string(value["digest"], _DIGEST), _number(value["size"], 0, _MAX_SIZE))


def _files(value: Any, algorithm: str) -> tuple[PlacedFile, ...]:
    files = tuple(_placed(item) for item in _list(value))
    if len(files) > placement.MAX_FILES or len({file.name for file in files}) != len(files):
        raise RequestError("The request has too many files, or names one twice.")
    if placement.problem(algorithm, (file.at for file in files)) is not None:
        raise RequestError("The request has a file at an invalid place.")
    return files


def _placed(value: Any) -> PlacedFile:
    if not isinstance(value, dict) or set(value) != {"name", "at"}:
        raise RequestError("The request has an invalid file.")
    return PlacedFile(_string(value["name"], _NAME), _string(value["at"], _TEXT))


def _packed(value: Any) -> PackedDataset:
    if not isinstance(value, dict) or set(value) != {"name", "size"}:
        raise RequestError("The request has an invalid packed dataset.")
    return PackedDataset(_string(value["name"], _NAME), _number(value["size"], 0, _MAX_SIZE))


def _file(value: Any, problem: Callable[[str], str | None] = names.problem) -> str:
    if not isinstance(value, str) or problem(value) is not None:
        raise RequestError("The request has an invalid file name.")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MAX_WORDS:
        raise RequestError("The request has an invalid or too long list.")
    return value


def _string(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not pattern.match(value):
        raise RequestError("The request has an invalid string.")
    return value


def _number(value: Any, minimum: int, maximum: int) -> int:
    if type(value) is not int or not minimum <= value <= maximum:
        raise RequestError("The request has an invalid number.")
    return value
