"""Debian version numbers and their order.

Source: Debian Policy, section 5.6.12 (Version).
"""

import itertools
import re
from dataclasses import dataclass
from functools import total_ordering

from image.errors import ImageError

# Longer numbers than Python converts are in no version.
_VALID = re.compile(r"(?:[0-9]{1,9}:)?[0-9A-Za-z.+:~-]{1,256}")


def is_valid(text: str) -> bool:
    """Whether ``text``, from data of others, has the form of a version."""
    return _VALID.fullmatch(text) is not None and (":" not in text or text.partition(":")[0].isdigit())


def _weight(character: str) -> int:
    """Sort order of a character in the non-digit part: tilde, end of part, letters, then the rest."""
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
    """A version number, ordered as Debian does: ``1.0`` and ``0:1.0-0`` are equal."""

    text: str

    def _parts(self) -> tuple[int, str, str]:
        epoch, colon, rest = self.text.partition(":")
        if not colon:
            epoch, rest = "0", self.text
        if not epoch.isdigit():
            raise ImageError(f"Invalid version {self.text!r}: the epoch must be a number.")
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
