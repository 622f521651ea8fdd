"""Compare two locks or two images: what an upgrade changes, in one value."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage
from image.audit import audit, components
from image.audit.databases import Databases
from image.audit.findings import Finding
from image.build import built_image, verify
from image.build.built_image import BuiltImage
from image.build.verify import FileChange
from image.changes import packages
from image.changes.packages import PackageChange, SourceChange
from image.inputs import fetch
from image.inputs.lockfile import Lock, LockedPackage

_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True)
class ValueChange:
    """A value before and after; empty where there was none."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class SizeChange:
    """The size of an output in bytes before and after; None where there was none."""

    name: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class RegisterChange:
    """A register that changed, and the names of the events that did."""

    name: str
    before: str
    after: str
    events: tuple[str, ...]


@dataclass(frozen=True)
class Vulnerabilities:
    """What data about vulnerabilities says: those that the upgrade ends, those that it brings, and all after it."""

    fixed: tuple[Finding, ...]
    new: tuple[Finding, ...]
    open: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Changes:
    """Everything that differs.

    indexes: dates of Debian's indexes.
    packages, sources: of the locks.
    statements: what the manifests say of flavor, debug and Python packages, and the digests of inputs.
    outputs, sizes, measurements, files: of the images.
    secure_boot: what the statements about signed images say: their digests, certificates, files and PCR 4 and 7.
    vulnerabilities: None without data.
    notes: what could not be compared.
    """

    indexes: tuple[ValueChange, ...] = ()
    packages: tuple[PackageChange, ...] = ()
    sources: tuple[SourceChange, ...] = ()
    statements: tuple[ValueChange, ...] = ()
    outputs: tuple[ValueChange, ...] = ()
    sizes: tuple[SizeChange, ...] = ()
    measurements: tuple[RegisterChange, ...] = ()
    files: tuple[FileChange, ...] = ()
    secure_boot: tuple[ValueChange, ...] = ()
    vulnerabilities: Vulnerabilities | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def none(self) -> bool:
        """Whether nothing differs."""
        return not self.secure_boot and self.same_image

    @property
    def same_image(self) -> bool:
        """Whether nothing differs but how the image is signed."""
        parts = (self.indexes, self.packages, self.statements, self.outputs, self.measurements, self.files)
        return not any(parts)

    @property
    def named(self) -> list[str]:
        """The vulnerabilities that changelogs name, as a rule because they are fixed."""
        return sorted({name for one in self.sources for entry in one.entries for name in entry.vulnerabilities()})


@dataclass(frozen=True)
class _Side:
    lock: Lock | None
    image: BuiltImage | None = None


def compare(before: Path, after: Path, databases: Databases | None = None) -> Changes:
    """Compare two lock files, or two images by manifest or folder. Nothing is fetched. Raises InputError."""
    old, new = _side(before), _side(after)
    if (old.image is None) != (new.image is None):
        raise InputError(
            f"Cannot compare {before} with {after}: both must be locks, or both image manifests or folders."
        )
    return _compare(old, new, databases)


def locks(before: Lock, after: Lock, databases: Databases | None = None) -> Changes:
    """Compare two locks."""
    return _compare(_Side(before), _Side(after), databases)


def packages_only(before: Lock, after: Lock) -> Changes:
    """Compare two locks, of which one has no wheels yet."""
    return locks(replace(before, wheels=(), agent_wheels=()), replace(after, wheels=(), agent_wheels=()))


def _compare(old: _Side, new: _Side, databases: Databases | None) -> Changes:
    made: dict[str, Any] = {"notes": ()}
    if old.lock is not None and new.lock is not None:
        made |= _locks(old.lock, new.lock)
        if databases is not None and databases.files:
            pair = ((old.lock, old.image), (new.lock, new.image))
            made["vulnerabilities"] = _vulnerabilities(pair, databases)
    else:
        made["notes"] = ("An image has no lock.json beside its manifest: packages cannot be compared.",)
    if old.image is not None and new.image is not None:
        made |= _images(old.image, new.image)
    return Changes(**made)


def _find(package: LockedPackage) -> Path | None:
    return fetch.cached(package.sha256)


def _locks(before: Lock, after: Lock) -> dict[str, Any]:
    dates = {archive.archive: archive.date for archive in before.archives}
    later = {archive.archive: archive.date for archive in after.archives}
    changed = packages.with_script_lines(packages.compare(before, after), before, after, _find)
    return {
        "indexes": tuple(
            ValueChange(name, dates.get(name, ""), later.get(name, ""))
            for name in sorted({*dates, *later})
            if dates.get(name) != later.get(name)
        ),
        "packages": tuple(changed),
        "sources": tuple(packages.sources(changed, before, after, _find)),
    }


def _secure_boot(before: SignedImage | None, after: SignedImage | None) -> tuple[ValueChange, ...]:
    old, new = _signed_values(before), _signed_values(after)
    names = [*new, *(name for name in old if name not in new)]
    return tuple(
        ValueChange(name, old.get(name, ""), new.get(name, "")) for name in names if old.get(name) != new.get(name)
    )


def _signed_values(signed: SignedImage | None) -> dict[str, str]:
    if signed is None:
        return {}
    return {
        "signed image": signed.digest().hex(),
        **{f"certificate {name}": hashlib.sha256(der).hexdigest() for name, der in signed.certificates.items()},
        **{f"signed {name}": one.sha256 for name, one in signed.outputs.items()},
        **{f"PCR {index} with Secure Boot": value for index, value in signed.pcrs.items()},
    }


def _images(before: BuiltImage, after: BuiltImage) -> dict[str, Any]:
    old, new = before.manifest, after.manifest
    compared = [one for one in verify.compare(old, new) if not one.same]
    registers = {f"PCR {index}": index for index in {*old.pcrs, *new.pcrs}}
    sizes = {name: (_size(old, name), _size(new, name)) for name in sorted({*old.outputs, *new.outputs})}
    return {
        "secure_boot": _secure_boot(before.signed, after.signed),
        "statements": tuple(
            ValueChange(one.name, one.expected, one.found)
            for one in (*verify.compare_statements(old, new), *verify.compare_inputs(old, new))
            if not one.same
        ),
        "outputs": tuple(
            ValueChange(one.name, one.expected, one.found) for one in compared if one.name not in registers
        ),
        "sizes": tuple(SizeChange(name, *pair) for name, pair in sizes.items() if pair[0] != pair[1]),
        "measurements": tuple(
            RegisterChange(one.name, one.expected, one.found, _events(old, new, registers[one.name]))
            for one in compared
            if one.name in registers
        ),
        "files": ()
        if before.layers is None or after.layers is None
        else tuple(verify.changed_files(before.layers, after.layers)),
    }


def _size(manifest: ImageManifest, name: str) -> int | None:
    return manifest.outputs[name].size if name in manifest.outputs else None


def _events(old: ImageManifest, new: ImageManifest, register: int) -> tuple[str, ...]:
    """The events of a register that only one image has, or that have another digest."""
    pairs = [{(one.event, one.sha256) for one in side.events.get(register, ())} for side in (old, new)]
    order = [one.event for side in (old, new) for one in side.events.get(register, ())]
    changed = {event for event, _ in pairs[0] ^ pairs[1]}
    return tuple(dict.fromkeys(event for event in order if event in changed))


def _vulnerabilities(pair: Sequence[tuple[Lock, BuiltImage | None]], databases: Databases) -> Vulnerabilities:
    """Of the old and the new side."""
    found, notes = [], list[str]()
    for (lock, image), spoken in zip(pair, ("old", "new"), strict=True):
        there = {entry.sha256: path for entry in lock.entries if (path := fetch.cached(entry.sha256)) is not None}
        missing = [entry.label for entry in lock.entries if entry.sha256 not in there]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            notes.append(f"Not judged, because they are not in the cache: {missing[0]}{more} of the {spoken} lock.")
        layers = image.layers if image is not None else None
        made, about = audit.look_up(lock, components.components(lock, there, layers), databases)
        found.append([one for one in made if one.present is not False])
        notes += about if spoken == "new" else []
    before, after = ({(one.id, one.component.name): one for one in findings} for findings in found)
    return Vulnerabilities(
        tuple(one for key, one in before.items() if key not in after),
        tuple(one for key, one in after.items() if key not in before),
        tuple(found[1]),
        tuple(notes),
    )


def _side(path: Path) -> _Side:
    if path.is_dir() or not _is_lock(path):
        image = BuiltImage.read(path)
        return _Side(image.lock, image)
    return _Side(built_image.read_lock(path))


def _is_lock(path: Path) -> bool:
    try:
        value: Any = json.loads(userfile.read(path, _LARGEST))
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is neither a lock nor an image manifest: it is not JSON.") from error
    return isinstance(value, dict) and "archives" in value
