"""Whether a version is affected, by the rules of the OSV format: the listed versions, and ranges of events.

Source: ossf.github.io/osv-schema, "Evaluation". What cannot be decided is not taken for harmless.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from packaging.version import InvalidVersion
from packaging.version import Version as PythonVersion

from image.debian.versions import Version as DebianVersion
from image.debian.versions import is_valid

_MOST_EVENTS = 10_000
_LONGEST = 256


Order: TypeAlias = Any
"""A version that can be compared with others of its ecosystem."""


class Affected(Enum):
    """The verdict on a version."""

    NO = 0
    UNKNOWN = 1
    YES = 2


@dataclass(frozen=True)
class Judgement:
    """Whether the version is affected, and the first later version that is not; empty if none is known."""

    affected: Affected
    fixed: str = ""


def debian_order(version: str) -> Order:
    """Raises ValueError for what has not the form of a version."""
    if not is_valid(version):
        raise ValueError(version)
    return DebianVersion(version)


def python_order(version: str) -> Order:
    """Raises ValueError for what PEP 440 does not allow."""
    if len(version) > _LONGEST:
        raise ValueError(version[:_LONGEST])
    try:
        return PythonVersion(version)
    except InvalidVersion as error:
        raise ValueError(version) from error


def judge(affected: Mapping[str, Any], version: str, order: Callable[[str], Order]) -> Judgement:
    """Judge a version by one entry of a record's ``affected``."""
    try:
        ours = order(version)
    except ValueError:
        return Judgement(Affected.UNKNOWN)
    verdicts, fixes = list[Affected](), list[tuple[Order, str]]()
    versions = affected.get("versions")
    if isinstance(versions, list) and versions:
        named = any(listed == version or _same(listed, ours, order) for listed in versions)
        verdicts.append(Affected.YES if named else Affected.NO)
    ranges = affected.get("ranges")
    for one in ranges if isinstance(ranges, list) else []:
        # Commits, of type GIT, do not say which release has them.
        if isinstance(one, dict) and one.get("type") in ("ECOSYSTEM", "SEMVER"):
            verdicts.append(_in_range(one.get("events"), ours, order, fixes))
    verdict = max(verdicts, key=lambda state: state.value, default=Affected.UNKNOWN)
    later = [fix for fix in fixes if ours < fix[0]]
    if verdict is not Affected.YES or not later:
        return Judgement(verdict)
    return Judgement(verdict, min(later, key=lambda fix: fix[0])[1])


def _same(listed: object, ours: Order, order: Callable[[str], Order]) -> bool:
    try:
        return isinstance(listed, str) and order(listed) == ours
    except ValueError:
        return False


def _in_range(events: object, ours: Order, order: Callable[[str], Order], fixes: list[tuple[Order, str]]) -> Affected:
    """Walk the events up to our version; ``fixes`` gets the versions that fix."""
    if not isinstance(events, list) or len(events) > _MOST_EVENTS:
        return Affected.UNKNOWN
    placed, limits, from_the_first = list[tuple[Order, str]](), list[Order](), False
    for event in events:
        if not isinstance(event, dict) or len(event) != 1:
            return Affected.UNKNOWN
        ((kind, text),) = event.items()
        if (kind, text) in (("introduced", "0"), ("limit", "*")):
            from_the_first |= kind == "introduced"
            continue
        try:
            place = order(text if isinstance(text, str) else "")
        except ValueError:
            return Affected.UNKNOWN
        if kind == "limit":
            limits.append(place)
        elif kind in ("introduced", "fixed", "last_affected"):
            placed.append((place, kind))
        else:
            return Affected.UNKNOWN
        if kind == "fixed":
            fixes.append((place, text))
    if not from_the_first and not any(kind == "introduced" for _, kind in placed):
        return Affected.UNKNOWN
    if limits and not any(ours < limit for limit in limits):
        return Affected.NO
    inside = from_the_first
    for place, kind in sorted(placed, key=lambda one: one[0]):
        if ours < place:
            break
        if kind == "introduced":
            inside = True
        elif kind == "fixed" or place < ours:
            inside = False
    return Affected.YES if inside else Affected.NO
