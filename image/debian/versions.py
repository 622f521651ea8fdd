"""Debian's words: versions, relations between packages, and the ``Packages`` index.

Source: Debian Policy, section 5.6.12 (Version), chapter 7 (Declaring relationships) and deb822(5).
"""

import itertools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import total_ordering
from typing import Self

from image.errors import ImageError

_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.\-]*)(?::[a-z0-9]+)?\s*(?:\(\s*(?P<operator><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?"
)
_HOLDS: Mapping[str, Callable[["Version", "Version"], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
}


def _weight(character: str) -> int:
    """Where a character of the non-digit part sorts: tilde, then the end, then letters, then the rest."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _compare_part(left: str, right: str) -> int:
    """Compare upstream versions or revisions: non-digit and digit runs alternate (Policy 5.6.12)."""
    ours, theirs = re.split(r"(\d+)", left), re.split(r"(\d+)", right)
    for index, (a, b) in enumerate(itertools.zip_longest(ours, theirs, fillvalue="")):
        if index % 2:
            difference = int(a or 0) - int(b or 0)
            if difference:
                return difference
            continue
        for x, y in itertools.zip_longest(a, b):
            difference = (_weight(x) if x else 0) - (_weight(y) if y else 0)
            if difference:
                return difference
    return 0


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """A version number with Debian's order, in which ``1.0`` and ``0:1.0-0`` are equal."""

    text: str

    def _parts(self) -> tuple[int, str, str]:
        epoch, colon, rest = self.text.partition(":")
        if not colon:
            epoch, rest = "0", self.text
        if not epoch.isdigit():
            raise ImageError(f"The version {self.text!r} has an epoch that is not a number.")
        upstream, dash, revision = rest.rpartition("-")
        return (int(epoch), upstream, revision) if dash else (int(epoch), rest, "")

    def compare(self, other: "Version") -> int:
        """Negative, zero or positive as this version is older than, equal to or newer than ``other``."""
        (epoch, upstream, revision), (epoch2, upstream2, revision2) = self._parts(), other._parts()
        return (epoch - epoch2) or _compare_part(upstream, upstream2) or _compare_part(revision, revision2)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.compare(other) == 0

    def __lt__(self, other: "Version") -> bool:
        return self.compare(other) < 0

    def __hash__(self) -> int:
        epoch, upstream, revision = self._parts()
        return hash((epoch, _normal(upstream), _normal(revision)))


def _normal(part: str) -> tuple[str, ...]:
    runs = [run.lstrip("0") if index % 2 else run for index, run in enumerate(re.split(r"(\d+)", part))]
    while runs and not runs[-1]:
        runs.pop()
    return tuple(runs)


@dataclass(frozen=True)
class Relation:
    """One name in a dependency, such as ``libc6 (>= 2.38)``; ``operator`` is empty without a version."""

    name: str
    operator: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _RELATION.fullmatch(text.strip())
        if found is None:
            raise ImageError(f"The index holds a relation that cannot be read: {text.strip()!r}.")
        return cls(found["name"], found["operator"] or "", found["version"] or "")

    def holds(self, version: str) -> bool:
        """Whether ``version`` of the named package satisfies this relation."""
        return not self.operator or _HOLDS[self.operator](Version(version), Version(self.version))


def _relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """``a | b, c`` as groups of alternatives."""
    return tuple(
        tuple(Relation.parse(alternative) for alternative in group.split("|"))
        for group in text.split(",")
        if group.strip()
    )


@dataclass(frozen=True)
class Package:
    """One stanza of a ``Packages`` index; ``depends`` has one tuple of alternatives per dependency."""

    name: str
    version: str
    architecture: str
    depends: tuple[tuple[Relation, ...], ...]
    provides: tuple[Relation, ...]
    path: str
    size: int
    sha256: str

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self:
        """Raises ImageError when a field that we need is absent."""
        try:
            needs = ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if key in fields)
            return cls(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                depends=_relations(needs),
                provides=tuple(group[0] for group in _relations(fields.get("Provides", ""))),
                path=fields["Filename"],
                size=int(fields["Size"]),
                sha256=fields["SHA256"],
            )
        except (KeyError, ValueError) as error:
            raise ImageError(f"A package of the index lacks a usable field: {error}.") from error


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a deb822 file, as field name -> value (continuation lines joined by newlines)."""
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if not key:
                    raise ImageError(f"A paragraph begins with a continuation line: {line!r}.")
                fields[key] += "\n" + line.strip()
                continue
            key, colon, value = line.partition(":")
            if not colon:
                raise ImageError(f"A line is not 'Field: value': {line!r}.")
            fields[key] = value.strip()
        if fields:
            yield fields
