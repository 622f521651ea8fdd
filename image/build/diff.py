"""What changed between two locks or two images, as a changelog."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.errors import CloisterError, InputError
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest
from image.build import output, verify
from image.inputs.lockfile import Lock, LockedPackage, LockedWheel, LockError

_LISTING = "files.json"
_LARGEST = 16 * 1024 * 1024


def compare(before: Path, after: Path) -> list[str]:
    """Compare two lock files, manifests or images' folders: one line per change, none if they are equal."""
    kinds = {_kind(before), _kind(after)}
    if kinds == {"lock"}:
        return locks(_lock(before), _lock(after))
    if kinds == {"image"}:
        return images(before, after)
    raise InputError(f"Cannot compare {before} with {after}: both must be locks, or both image manifests or folders.")


def locks(before: Lock, after: Lock) -> list[str]:
    """Changed index dates, packages (with their changed maintainer scripts) and wheels."""
    lines: list[str] = []
    dates = {archive.archive: archive.date for archive in before.archives}
    for archive in after.archives:
        if dates.get(archive.archive) != archive.date:
            lines.append(f"{archive.archive}: index of {dates.get(archive.archive, 'never')} -> {archive.date}")
    lines += _entries(
        "", {entry.name: entry for entry in before.packages}, {entry.name: entry for entry in after.packages}
    )
    for label, old, new in (
        ("wheel ", before.wheels, after.wheels),
        ("the agent's wheel ", before.agent_wheels, after.agent_wheels),
    ):
        lines += _entries(label, {entry.name: entry for entry in old}, {entry.name: entry for entry in new})
    return lines


def images(before: Path, after: Path) -> list[str]:
    """Changed Python packages, inputs, outputs and PCRs, and changed files if both images have their ``files.json``."""
    old, new = _image(before), _image(after)
    lines = [] if old.flavor == new.flavor else [f"flavor: {old.flavor} -> {new.flavor}"]
    if old.debug != new.debug:
        lines.append(f"debug: {old.debug} -> {new.debug}".lower())
    for name in sorted({*old.packages, *new.packages}):
        lines += _version(f"Python package {name}", old.packages.get(name), new.packages.get(name))
    for name in sorted({*old.inputs, *new.inputs}):
        if old.inputs.get(name) != new.inputs.get(name):
            lines.append(f"input {name}: {old.inputs.get(name, 'none')} -> {new.inputs.get(name, 'none')}")
    for comparison in verify.compare(old, new):
        if not comparison.same:
            lines.append(f"{comparison.name}: {comparison.expected or 'none'} -> {comparison.found or 'none'}")
    listings = [path / _LISTING if path.is_dir() else path.parent / _LISTING for path in (before, after)]
    if all(listing.is_file() for listing in listings):
        lines += verify.compare_listings(listings[0].read_bytes(), listings[1].read_bytes())
    return lines


def _version(what: str, old: str | None, new: str | None) -> list[str]:
    """The line for a package that came, went or has another version; none if it is as before."""
    if old == new:
        return []
    if old is None:
        return [f"{what}: added, {new}"]
    return [f"{what}: removed, was {old}" if new is None else f"{what}: {old} -> {new}"]


def _entries(
    label: str, before: Mapping[str, LockedPackage | LockedWheel], after: Mapping[str, LockedPackage | LockedWheel]
) -> list[str]:
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            lines += _version(
                f"{label}{name}", None if old is None else old.version, None if new is None else new.version
            )
        elif old != new:
            what = f"{old.version} -> {new.version}" if old.version != new.version else "same version, different bytes"
            lines.append(f"{label}{name}: {what}{_scripts(old, new)}")
    return lines


def _scripts(old: LockedPackage | LockedWheel, new: LockedPackage | LockedWheel) -> str:
    if not isinstance(old, LockedPackage) or not isinstance(new, LockedPackage):
        return ""
    changed = [name for name in sorted({*old.scripts, *new.scripts}) if old.scripts.get(name) != new.scripts.get(name)]
    return f" (changed scripts: {', '.join(changed)})" if changed else ""


def _kind(path: Path) -> str:
    if path.is_dir():
        return "image"
    try:
        value: Any = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is neither a lock nor an image manifest: {error}.") from error
    return "lock" if isinstance(value, dict) and "archives" in value else "image"


def _lock(path: Path) -> Lock:
    try:
        return Lock.parse(_read(path))
    except LockError as error:
        raise _other_form(path, "lock", error) from error


def _image(path: Path) -> ImageManifest:
    try:
        return output.read_manifest(path)
    except FormatError as error:
        raise _other_form(path, "image manifest", error) from error


def _other_form(path: Path, what: str, error: CloisterError) -> InputError:
    """The refusal of a file that another version of Cloister has written, or that is damaged."""
    return InputError(
        f"{path} is not {'an' if what[0] in 'aeiou' else 'a'} {what} of this version of Cloister. {error.message}",
        hint="Build or lock the older image again with this checkout, or compare both in a checkout that reads them.",
    )


def _read(path: Path) -> bytes:
    try:
        return userfile.read(path, _LARGEST)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
