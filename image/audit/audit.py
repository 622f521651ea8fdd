"""Audit an image, or a lock without one: its components, what the databases say, and what the team has decided."""

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister.protocol.text import printable
from image import cache
from image.audit import accepted, components, findings, osv, tracker
from image.audit.advisory import Advisory
from image.audit.components import Component
from image.audit.databases import Databases
from image.audit.findings import FailOn, Finding
from image.audit.subject import AuditedImage
from image.inputs import fetch
from image.inputs.lockfile import Lock


@dataclass(frozen=True)
class ImageAudit:
    """What an audit found.

    flavor, lock: the image's flavor, and the digest of its lock (hex).
    date: that of the lock's index.
    data: SHA-256 (hex) of each file of data, by database.
    image: whether the image was there, so that files were looked for in it.
    notes: sentences about data that is too old, and about decisions that have ended or fit nothing.
    fail_on: which findings count.
    """

    flavor: str
    lock: str
    date: str
    data: Mapping[str, str]
    image: bool
    components: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    fail_on: FailOn

    @property
    def counted(self) -> list[Finding]:
        """The findings that the audit fails on."""
        return [one for one in self.findings if one.counts(self.fail_on)]

    @property
    def failed(self) -> bool:
        return bool(self.counted)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "version": 1,
            "flavor": self.flavor,
            "lock": self.lock,
            "date": self.date,
            "data": dict(self.data),
            "image": self.image,
            "components": self.components,
            "fail_on": self.fail_on.value,
            "failed": self.failed,
            "findings": [_finding(one, self.fail_on) for one in self.findings],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For a reader: each finding that counts, then how many others there are in each component."""
        same: dict[tuple[str, str, str], list[Finding]] = {}
        for one in self.counted:
            same.setdefault((one.id, one.component.name, one.component.version), []).append(one)
        lines = [_line(group) for group in same.values()]
        counted = {id(one) for one in self.counted}
        others = Counter(
            (one.component.name, one.component.version, _why(one)) for one in self.findings if id(one) not in counted
        )
        lines += [f"{name} {version}: {count} {why}" for (name, version, why), count in sorted(others.items())]
        # Databases say what they like, also in several lines.
        return [printable(line) for line in (*lines, *self.notes, self._end())]

    def _end(self) -> str:
        seen = "" if self.image else " The image is not built: whether it has their files is not known."
        return (
            f"Known vulnerabilities in the {self.components} components of {self.flavor}: {len(self.findings)}. "
            f"Those that count ({self.fail_on.value}): {len(self.counted)}.{seen}"
        )


def audit(
    chosen: AuditedImage,
    databases: Databases,
    *,
    fail_on: FailOn = FailOn.FIXABLE,
    decisions: Path | None = None,
    vendored: Path | None = None,
    today: datetime.date | None = None,
) -> ImageAudit:
    """Audit what was chosen. Packages that the cache does not have are fetched, or taken from the tar ``vendored``.

    Raises DataError for data that is missing, damaged or of another release, and what ``fetch.ensure`` raises.
    """
    databases.require()
    accept = accepted.read(decisions) if decisions is not None else ()
    lock = chosen.lock
    made = components.components(lock, fetch.ensure(lock, vendored), chosen.layers)
    found, notes = look_up(lock, made, databases)
    decided, about = findings.decide(found, accept, today or datetime.datetime.now(datetime.UTC).date())
    return ImageAudit(
        lock.flavor,
        lock.digest(),
        max(one.date for one in lock.archives),
        {name: cache.digest(path) for name, path in databases.files.items()},
        chosen.layers is not None,
        len(made),
        tuple(decided),
        (*notes, *about),
        fail_on,
    )


def look_up(lock: Lock, made: Sequence[Component], databases: Databases) -> tuple[list[Finding], list[str]]:
    """The findings in components of a lock, and sentences about data that is older or about something else."""
    ask: list[Callable[[Component], list[Advisory]]] = []
    notes: list[str] = []
    if databases.tracker is not None:
        debian = tracker.read(databases.tracker, lock.suite, made)
        notes = [f"Older than the lock: {one}." for one in debian.older_than(made)]
        ask.append(debian.advisories)
    if databases.osv is not None:
        records = osv.read(databases.osv, lock.suite, made)
        # Of Debian's packages the tracker has told.
        unknown = [one for one in records.unknown if databases.tracker is None or not one.startswith("Debian")]
        notes += [f"{databases.osv} has no record about {name}: nothing is known of it." for name in unknown]
        ask.append(records.advisories)
    return findings.collect(made, ask), notes


def _finding(one: Finding, fail_on: FailOn) -> dict[str, Any]:
    component = one.component
    return {
        "id": one.id,
        "names": list(one.names),
        "ecosystem": component.ecosystem.value,
        "component": component.name,
        "component_version": component.version,
        "package": component.package,
        "package_version": component.package_version,
        "built_in": component.built_in,
        "state": one.state.value,
        "fixed": one.fixed,
        "databases": list(one.databases),
        "said": dict(one.said),
        "summary": one.summary,
        "in_image": {None: "unknown", True: "yes", False: "no"}[one.present],
        "files": list(component.files or ()),
        "accepted": None
        if one.accepted is None
        else {"reason": one.accepted.reason, "until": one.accepted.until.isoformat()},
        "counts": one.counts(fail_on),
    }


def _why(one: Finding) -> str:
    """What a finding is that needs no line of its own."""
    if one.accepted is not None:
        return "accepted"
    if one.present is False:
        return f"{one.state.value}, in no file of the image"
    return f"{one.state.value}, minor" if one.minor else one.state.value


def _line(same: Sequence[Finding]) -> str:
    """A line for a vulnerability in a source package, whatever packages are built from that."""
    one = same[0]
    packages = ", ".join(dict.fromkeys(f"{each.component.package} {each.component.package_version}" for each in same))
    own = f"{one.component.name} {one.component.version}"
    label = own if packages == own else f"{own} (in {packages})"
    fix = f"fixed in {one.fixed}" if one.fixed else one.state.value
    said = "".join(f", {name.replace('_', ' ')}: {value}" for name, value in sorted(one.said.items()))
    files = [file for each in same for file in each.component.files or ()]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    where = f"; in the image: {files[0]}{more}" if files else ""
    return f"{one.id}: {label}, {fix}{said}{where}"
