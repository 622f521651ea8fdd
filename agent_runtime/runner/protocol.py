"""What the agent asks of the runner, and what it hears back: JSON lines on a local socket.

The runner is root and the agent may be broken, so a request is parsed strictly and can say nothing but what is here.
Standard library only: the runner imports nothing else.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

MAX_REQUEST = 4 * 1024 * 1024
"""Bytes of a request line."""

MAX_ANSWER = 4096
_MAX_WORDS = 256
_MAX_TEXT = 4096
_MAX_SIZE = 2**53 - 1
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]*\Z")

OWN_NAMES = ("datasets", "results")
"""What stands in the algorithm's folder already: an algorithm cannot be called so."""


class RequestError(ValueError):
    """A request that the runner does not take."""


class RunOutcome(StrEnum):
    """How a run ended. Everyone may see it, so there is nothing in it but this word."""

    OK = "OK"
    EXIT_STATUS = "EXIT_STATUS"
    TIME_LIMIT = "TIME_LIMIT"
    MEMORY_LIMIT = "MEMORY_LIMIT"
    RESULT_LIMIT = "RESULT_LIMIT"
    RESULT_INVALID = "RESULT_INVALID"
    NO_RESULT = "NO_RESULT"
    STOPPED = "STOPPED"
    LAUNCH = "LAUNCH"


class RunnerOperation(StrEnum):
    """All that the runner does."""

    RUN = "run"
    POWER_OFF = "power-off"
    REBOOT = "reboot"


@dataclass(frozen=True)
class PackedDataset:
    """A dataset that is unpacked inside the sandbox, into a folder of its name; ``size`` in bytes, unpacked."""

    name: str
    size: int


@dataclass(frozen=True)
class Job:
    """One run. Sizes in bytes, ``seconds`` of wall time.

    ``datasets`` are names of files in the store's folder of that name, ``packed`` those to unpack; ``wheels`` says
    whether there is a bundle.
    """

    kind: str
    algorithm: str
    wheels: bool
    datasets: tuple[str, ...]
    packed: tuple[PackedDataset, ...]
    args: tuple[str, ...]
    environment: Mapping[str, str]
    seconds: int
    memory: int
    cpus: int
    processes: int
    results: int
    output: int
    version: int = field(default=1)

    def encode(self) -> bytes:
        """One line of JSON, with its newline."""
        return json.dumps({"operation": RunnerOperation.RUN, **asdict(self)}).encode() + b"\n"

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From the JSON value of a request. Raises RequestError."""
        names = {"operation", *cls.__dataclass_fields__}
        if not isinstance(value, dict) or set(value) != names:
            raise RequestError("A request to run has other members than it must have.")
        if value["version"] != 1 or value["kind"] != "python":
            raise RequestError("A request is of another version, or of a kind that cannot be run.")
        algorithm = _text(value["algorithm"], _FILE)
        if algorithm in OWN_NAMES or not isinstance(value["wheels"], bool):
            raise RequestError("A request names an algorithm that cannot be placed.")
        packed = tuple(_packed(item) for item in _list(value["packed"]))
        datasets = tuple(_text(item, _FILE) for item in _list(value["datasets"]))
        places = [*datasets, *(item.name for item in packed)]
        if len(set(places)) != len(places):
            raise RequestError("A request names a dataset twice.")
        environment = value["environment"]
        if not isinstance(environment, dict) or len(environment) > _MAX_WORDS:
            raise RequestError("A request has an environment that is none.")
        return cls(
            kind=value["kind"],
            algorithm=algorithm,
            wheels=value["wheels"],
            datasets=datasets,
            packed=packed,
            args=tuple(_text(item, _TEXT) for item in _list(value["args"])),
            environment={_text(name, _VARIABLE): _text(text, _TEXT) for name, text in environment.items()},
            seconds=_number(value["seconds"], 1, 31_622_400),
            memory=_number(value["memory"], 1, _MAX_SIZE),
            cpus=_number(value["cpus"], 1, 4096),
            processes=_number(value["processes"], 1, 65536),
            results=_number(value["results"], 0, _MAX_SIZE),
            output=_number(value["output"], 0, 64 * 1024 * 1024),
        )


def parse_request(line: bytes) -> Job | RunnerOperation:
    """What a request line asks for: a run, or one of the other operations. Raises RequestError."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError("A request is not JSON.") from error
    operation = value.get("operation") if isinstance(value, dict) else None
    if operation == RunnerOperation.RUN:
        return Job.from_value(value)
    if value in ({"operation": RunnerOperation.POWER_OFF}, {"operation": RunnerOperation.REBOOT}):
        return RunnerOperation(operation)
    raise RequestError("A request asks for something that the runner does not do.")


def _packed(value: Any) -> PackedDataset:
    if not isinstance(value, dict) or set(value) != {"name", "size"}:
        raise RequestError("A request has a packed dataset that is none.")
    return PackedDataset(_text(value["name"], _NAME), _number(value["size"], 0, _MAX_SIZE))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MAX_WORDS:
        raise RequestError("A request has a list that is none, or is too long.")
    return value


def _text(value: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not pattern.match(value):
        raise RequestError("A request has a text that may not stand there.")
    return value


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise RequestError("A request has a number that may not stand there.")
    return value
