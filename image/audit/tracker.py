"""Debian's security tracker: the JSON that it publishes, by source package, vulnerability and release.

Source: what the tracker's own service writes (bin/tracker_service.py of its repository). A status is ``resolved``,
``open`` or ``undetermined``. ``fixed_version`` is there for the first only, and ``0`` if the release never had the
vulnerability. What Debian thinks of an open one is in ``urgency``, ``nodsa`` and ``nodsa_reason``.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from image.audit import streaming_json
from image.audit.advisory import Advisory, FixState
from image.audit.components import Component, Ecosystem
from image.audit.errors import DataError
from image.debian.versions import Version, is_valid

NAME = "tracker"
_WHAT = "the JSON of Debian's security tracker"
_LONGEST = 300
# What a reader needs besides the state; the values are Debian's words.
_SAID = {"urgency": "urgency", "nodsa": "no_dsa", "nodsa_reason": "no_dsa_reason"}


@dataclass(frozen=True)
class Tracker:
    """What the tracker says of one release's source packages: package -> vulnerability -> entry.

    newest: the newest version of each that the tracker knows in the release's archives.
    """

    suite: str
    entries: Mapping[str, Mapping[str, Mapping[str, Any]]]
    newest: Mapping[str, str]

    def advisories(self, component: Component) -> list[Advisory]:
        """The vulnerabilities that the component has, or may have."""
        if component.ecosystem is not Ecosystem.DEBIAN:
            return []
        found = (_advisory(name, entry, component) for name, entry in self.entries.get(component.name, {}).items())
        return [advisory for advisory in found if advisory is not None]

    def older_than(self, components: Iterable[Component]) -> list[str]:
        """A sentence for each component that is newer than what the tracker knows: its file is older than the lock."""
        said = set()
        for one in components:
            known = self.newest.get(one.name, "") if one.ecosystem is Ecosystem.DEBIAN else ""
            if known and Version(known) < Version(one.version):
                said.add(f"{one.name}: the tracker's file knows {known}, the lock has {one.version}")
        return sorted(said)


def read(path: Path, suite: str, components: Iterable[Component]) -> Tracker:
    """Read what the file says of the components. Raises DataError when it is not the tracker's or lacks the suite."""
    wanted = {one.name for one in components if one.ecosystem is Ecosystem.DEBIAN}
    entries: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    newest: dict[str, str] = {}
    for source, issues in streaming_json.members(path, _WHAT):
        if source not in wanted:
            continue
        for name, issue in _table(issues, path, source).items():
            releases = _table(_table(issue, path, source).get("releases"), path, name)
            if suite not in releases:
                continue
            release = _table(releases[suite], path, name)
            entries[source][name] = {"description": issue.get("description"), **release}
            for value in _table(release.get("repositories", {}), path, name).values():
                if (version := _version(value)) and (
                    source not in newest or Version(version) > Version(newest[source])
                ):
                    newest[source] = version
    if wanted and not entries:
        raise DataError(
            f"{path} says nothing of {suite} for any of the {len(wanted)} source packages of this lock.",
            hint=f"Bring {_WHAT}, whole.",
        )
    return Tracker(suite, entries, newest)


def _table(value: object, path: Path, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{path} is not {_WHAT}: {place[:_LONGEST]} has {type(value).__name__}, not an object.")
    return value


def _version(value: object) -> str:
    """A version; empty for anything else."""
    return value if isinstance(value, str) and is_valid(value) else ""


def _advisory(name: str, entry: Mapping[str, Any], component: Component) -> Advisory | None:
    status, fixed = entry.get("status"), _version(entry.get("fixed_version"))
    said = {ours: entry[theirs] for theirs, ours in _SAID.items() if isinstance(entry.get(theirs), str)}
    if entry.get("next_point_update") is True:
        said["next_point_update"] = "yes"
    if status == "resolved" and fixed:
        if fixed == "0" or Version(component.version) >= Version(fixed):
            return None
        state = FixState.FIXABLE
    else:
        # Also a status that this version of the tracker's format does not have: nothing is taken for harmless.
        state, fixed = (FixState.OPEN if status == "open" else FixState.UNDETERMINED), ""
        if status not in ("open", "undetermined"):
            said["status"] = str(status)[:_LONGEST]
    summary = entry.get("description")
    return Advisory(NAME, name, state, fixed, (), summary if isinstance(summary, str) else "", said)
