"""What changed between two locks: packages and wheels, their maintainer scripts, and what changelogs say."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from image.debian import changelog, deb
from image.debian.changelog import ChangelogEntry
from image.debian.source import SourcePackage, source
from image.debian.versions import Version
from image.inputs.lockfile import Lock, LockedPackage, LockedWheel

Find = Callable[[LockedPackage], Path | None]
"""The file of a package, or None when it is not in the cache."""

_KINDS = ("package", "wheel", "the agent's wheel")
_NOT_THERE = "the package is not in the cache"


@dataclass(frozen=True)
class ScriptChange:
    """A maintainer script that changed, with its digest before and after (hex; empty without one) and its lines.

    ``lines`` are a unified diff; they are missing when one of the packages is not in the cache.
    """

    name: str
    before: str
    after: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackageChange:
    """A package or wheel that came, went or changed; a missing version is empty."""

    kind: str
    name: str
    before: str
    after: str
    scripts: tuple[ScriptChange, ...] = ()


@dataclass(frozen=True)
class SourceChange:
    """What the changelog of a source package says of all versions after the old one, the newest first.

    ``note`` says why that is not known, or not complete; empty if it is.
    """

    name: str
    before: str
    after: str
    packages: tuple[str, ...]
    entries: tuple[ChangelogEntry, ...] = ()
    note: str = ""


def compare(before: Lock, after: Lock) -> list[PackageChange]:
    """Packages, wheels and the agent's wheels that differ, by name."""
    found: list[PackageChange] = []
    for kind, old, new in zip(
        _KINDS,
        (before.packages, before.wheels, before.agent_wheels),
        (after.packages, after.wheels, after.agent_wheels),
        strict=True,
    ):
        earlier: Mapping[str, LockedPackage | LockedWheel] = {entry.name: entry for entry in old}
        later: Mapping[str, LockedPackage | LockedWheel] = {entry.name: entry for entry in new}
        for name in sorted({*earlier, *later}):
            one, other = earlier.get(name), later.get(name)
            if one != other:
                versions = ("" if one is None else one.version, "" if other is None else other.version)
                found.append(PackageChange(kind, name, *versions, _scripts(one, other)))
    return found


def _scripts(before: object, after: object) -> tuple[ScriptChange, ...]:
    if not isinstance(before, LockedPackage) or not isinstance(after, LockedPackage):
        return ()
    return tuple(
        ScriptChange(name, before.scripts.get(name, ""), after.scripts.get(name, ""))
        for name in sorted({*before.scripts, *after.scripts})
        if before.scripts.get(name) != after.scripts.get(name)
    )


def with_script_lines(changes: list[PackageChange], before: Lock, after: Lock, find: Find) -> list[PackageChange]:
    """The changes with the lines that changed in their scripts, where both packages are there."""
    made = []
    for change in changes:
        files = [find(lock.package(change.name)) for lock in (before, after)] if change.scripts else []
        if not files or any(file is None for file in files):
            made.append(change)
            continue
        old, new = (deb.scripts(file) for file in files if file is not None)
        scripts = tuple(replace(one, lines=_difference(one.name, old, new)) for one in change.scripts)
        made.append(replace(change, scripts=scripts))
    return made


def _difference(name: str, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[str, ...]:
    old, new = (scripts.get(name, b"").decode("utf-8", "replace").splitlines() for scripts in (before, after))
    return tuple(difflib.unified_diff(old, new, f"{name} before", f"{name} after", lineterm=""))


def sources(changes: list[PackageChange], before: Lock, after: Lock, find: Find) -> list[SourceChange]:
    """The source packages of packages that have another version, with their changelogs."""
    names = [change.name for change in changes if change.kind == _KINDS[0] and change.before and change.after]
    groups: dict[tuple[SourcePackage, str], list[str]] = {}
    unknown = []
    for name in names:
        old, new = before.package(name), after.package(name)
        file = find(new)
        if file is None:
            unknown.append(SourceChange(name, old.version, new.version, (name,), note=_NOT_THERE))
            continue
        made = source(deb.control(file))
        earlier = _source_version(old, find, new.version, made.version)
        if earlier != made.version:
            groups.setdefault((made, earlier), []).append(name)
    of_source = _changelogs(after, {made.name for made, _ in groups}, find)
    known = [_change(made, earlier, tuple(names), of_source) for (made, earlier), names in groups.items()]
    return sorted([*known, *unknown], key=lambda one: (one.name, one.packages))


def _source_version(old: LockedPackage, find: Find, new: str, new_source: str) -> str:
    """The old package's source version; empty if it is not there, and the version of a source is another."""
    file = find(old)
    if file is not None:
        return source(deb.control(file)).version
    return source({"Package": old.name, "Version": old.version}).version if new.startswith(new_source) else ""


def _changelogs(lock: Lock, wanted: set[str], find: Find) -> dict[str, str]:
    """The changelog of each source package, from the first of its packages that has one."""
    found: dict[str, str] = {}
    for package in lock.packages:
        file = find(package)
        if file is None or not wanted:
            continue
        name = source(deb.control(file)).name
        if name in wanted and name not in found and (text := deb.changelog(file)):
            found[name] = text
    return found


def _change(made: SourcePackage, earlier: str, names: tuple[str, ...], of_source: Mapping[str, str]) -> SourceChange:
    text = of_source.get(made.name, "")
    change = SourceChange(made.name, earlier, made.version, names)
    if not text:
        return replace(change, note="none of its packages has the changelog")
    if not earlier:
        newest = tuple(list(changelog.entries(text))[:1])
        return replace(change, entries=newest, note="the old package is not in the cache: only the newest entry")
    if Version(made.version) < Version(earlier):
        return replace(change, note="the version is older than before")
    return replace(change, entries=tuple(changelog.since(text, earlier)))
