"""What the clouds are documented to refuse about one resource: ``refusals.toml``, as conditions on its inputs.

A refusal applies if all its conditions hold. A value that a preview does not know yet meets no condition.
"""

import base64
import binascii
import ipaddress
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from infra.resources.placeholders import COMPUTED
from tests.infra.clouds.check import Failure

FILE = Path(__file__).parent / "refusals.toml"


@dataclass(frozen=True)
class Condition:
    """A condition on the values at ``path``: ``[]`` means a list's items, ``*`` a map's values, ``@`` a map's keys.

    The other fields are explained in ``refusals.toml``.
    """

    path: str
    is_: tuple[Any, ...] | None = None
    not_: tuple[Any, ...] | None = None
    like: str | None = None
    unlike: str | None = None
    given: bool | None = None
    outside: tuple[float, float] | None = None
    longer: int | None = None
    repeated: tuple[str, ...] | None = None
    both: tuple[str, ...] | None = None
    overlapping: bool = False

    def holds(self, inputs: Mapping[str, Any]) -> bool:
        """Whether it holds for any value. A missing value meets ``not``, ``unlike`` and ``given = false``."""
        found = list(values(inputs, self.path))
        known = [value for value in found if value is not None and value != COMPUTED]
        if self.given is not None:
            return bool(known) if self.given else None in found
        if self.longer is not None:
            return any(len(value) > self.longer for value in known)
        if self.overlapping:
            return any(_overlap(networks) for networks in known)
        if self.both is not None:
            return any(all(item.get(name) is not None for name in self.both) for item in known)
        if self.repeated is not None:
            keys = [tuple(str(item.get(name)) for name in self.repeated) for item in known]
            return len(keys) > len(set(keys))
        if self.not_ is not None or self.unlike is not None:
            return None in found or any(self._differs(value) for value in known)
        return any(self._matches(value) for value in known)

    def _matches(self, value: Any) -> bool:
        if self.is_ is not None:
            return value in self.is_
        if self.like is not None:
            return re.fullmatch(self.like, str(value)) is not None
        if self.outside is not None:
            return not self.outside[0] <= float(value) <= self.outside[1]
        raise ValueError(f"The condition on {self.path} is empty.")

    def _differs(self, value: Any) -> bool:
        if self.not_ is not None:
            return value not in self.not_
        return re.fullmatch(str(self.unlike), str(value)) is None


@dataclass(frozen=True)
class Refusal:
    """A refusal, and the changes (``breaks``, ``without``) to ``accepted/<start>.json`` that cause this one only."""

    name: str
    types: tuple[str, ...]
    when: tuple[Condition, ...]
    sentence: str
    source: str
    start: str
    breaks: Mapping[str, Any]
    without: tuple[str, ...]


@dataclass(frozen=True)
class ImmutableInput:
    """An input of an existing resource that the cloud refuses to change, although its plugin tries to."""

    type: str
    path: str
    sentence: str
    source: str
    start: str
    breaks: Mapping[str, Any]


@cache
def table() -> tuple[Refusal, ...]:
    """The refusals in the file."""
    return tuple(_refusal(entry) for entry in _file()["refusal"])


@cache
def immutable_inputs() -> tuple[ImmutableInput, ...]:
    """The immutable inputs in the file."""
    return tuple(ImmutableInput(**entry) for entry in _file()["immutable"])


def of(token: str, inputs: Mapping[str, Any]) -> Iterator[Failure]:
    """What the cloud refuses about the resource, regardless of others."""
    for one in table():
        if token in one.types and all(condition.holds(inputs) for condition in one.when):
            yield one.when[-1].path, one.sentence
    data = inputs.get("userData")
    if token == "azure-native:compute:VirtualMachine" and isinstance(data, str) and not _is_user_data(data):
        yield "userData", "User data is base64 and at most 64 KB."


def of_change(token: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Why the cloud refuses to change the resource from ``old`` to ``new``."""
    for one in immutable_inputs():
        if token == one.type and list(values(old, one.path)) != list(values(new, one.path)):
            yield one.sentence


def values(inputs: Any, path: str) -> Iterator[Any]:
    """The values at ``path``, None for a missing one. An unknown value stands for everything in it."""
    if inputs == COMPUTED or not path:
        yield inputs
        return
    step, _, rest = path.partition(".")
    if step in ("@", "*"):
        found = inputs if isinstance(inputs, dict) else {}
        for value in found if step == "@" else found.values():
            yield from values(value, rest)
        return
    value = inputs.get(step.removesuffix("[]")) if isinstance(inputs, dict) else None
    if step.endswith("[]") and value != COMPUTED:
        for item in value or []:
            yield from values(item, rest)
    else:
        yield from values(value, rest)


def _overlap(networks: Any) -> bool:
    """A service tag, or anything else that is not a network, overlaps with nothing."""
    found = []
    for text in networks:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return any(one.overlaps(other) for one, other in itertools.combinations(found, 2))


def _is_user_data(text: str) -> bool:
    try:
        return text == COMPUTED or len(base64.b64decode(text, validate=True)) <= 64 << 10
    except binascii.Error:
        return False


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def _refusal(entry: Mapping[str, Any]) -> Refusal:
    types = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    conditions = []
    for words in entry["when"]:
        known = {f"{name}_" if name in ("is", "not") else name: value for name, value in words.items()}
        conditions.append(
            Condition(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})
        )
    return Refusal(
        entry["name"],
        tuple(types),
        tuple(conditions),
        entry["sentence"],
        entry["source"],
        entry["start"],
        entry.get("breaks", {}),
        tuple(entry.get("without", ())),
    )
