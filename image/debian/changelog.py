"""Read a Debian changelog: what changed from one version of a source package to the next.

Source: deb-changelog(5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from image.debian.versions import Version, is_valid

_HEADER = re.compile(r"(?P<source>[a-z0-9][a-z0-9+.\-]*) \((?P<version>[^)\s]+)\)(?P<suites>(?: [^\s;]+)+);.*")
_TRAILER = re.compile(r" -- (?P<who>.*)  (?P<date>.*)")
_VULNERABILITY = re.compile(r"\bCVE-[0-9]{4}-[0-9]{4,}\b")


@dataclass(frozen=True)
class ChangelogEntry:
    """What changed in one version: the lines without those that are empty, and when (as the changelog has it)."""

    source: str
    version: str
    date: str
    lines: tuple[str, ...]

    def vulnerabilities(self) -> list[str]:
        """The identifiers of vulnerabilities that the entry names, as a rule because it fixes them."""
        return sorted(set(_VULNERABILITY.findall("\n".join(self.lines))))


def entries(text: str) -> Iterator[ChangelogEntry]:
    """Each entry, the newest first."""
    header, lines = None, list[str]()
    for line in text.splitlines():
        if (found := _HEADER.fullmatch(line.rstrip())) is not None:
            header, lines = found, []
        elif header is not None and (end := _TRAILER.fullmatch(line.rstrip())) is not None:
            yield ChangelogEntry(header["source"], header["version"], end["date"].strip(), tuple(lines))
            header = None
        elif line.strip():
            lines.append(line.rstrip())


def since(text: str, version: str) -> list[ChangelogEntry]:
    """The entries newer than ``version``, the newest first, and any before them whose version has another form."""
    known, found = Version(version), list[ChangelogEntry]()
    for entry in entries(text):
        if is_valid(entry.version) and Version(entry.version) <= known:
            break
        found.append(entry)
    return found
