"""Entries of a ``Packages`` index and the relations between packages.

Source: Debian Policy, chapter 7 (Declaring relationships between packages).
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from cloister.protocol.text import required_decimal
from image.debian.versions import Version
from image.errors import ImageError

_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.\-]*)(?::[a-z0-9]+)?\s*(?:\(\s*(?P<operator><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?"
)
_HOLDS: Mapping[str, Callable[[Version, Version], bool]] = {
    "<<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">>": operator.gt,
}


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
            raise ImageError(f"Invalid relation in the index: {text.strip()!r}.")
        return cls(found["name"], found["operator"] or "", found["version"] or "")

    def holds(self, version: str) -> bool:
        """Whether ``version`` of the named package satisfies this relation."""
        return not self.operator or _HOLDS[self.operator](Version(version), Version(self.version))


def _relations(text: str) -> tuple[tuple[Relation, ...], ...]:
    """Parse ``a | b, c`` into groups of alternatives."""
    return tuple(
        tuple(Relation.parse(alternative) for alternative in group.split("|"))
        for group in text.split(",")
        if group.strip()
    )


@dataclass(frozen=True)
class Package:
    """One stanza of a ``Packages`` index.

    name, version, architecture: the fields of the same name.
    depends: Pre-Depends and Depends, one tuple of alternatives per dependency.
    provides: the virtual packages that it provides; empty without the field.
    path: Filename, relative to the archive's base address.
    size, sha256: of the .deb, in bytes and lower-case hex.
    """

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
        """Raises ImageError when a required field is missing or invalid."""
        try:
            needs = ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if key in fields)
            return cls(
                name=fields["Package"],
                version=fields["Version"],
                architecture=fields["Architecture"],
                depends=_relations(needs),
                provides=tuple(group[0] for group in _relations(fields.get("Provides", ""))),
                path=fields["Filename"],
                size=required_decimal(fields["Size"]),
                sha256=fields["SHA256"],
            )
        except (KeyError, ValueError) as error:
            raise ImageError(f"A package in the index has a missing or invalid field: {error}.") from error
