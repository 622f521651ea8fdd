"""OSV: records of vulnerabilities in the Open Source Vulnerability format, of PyPI and of Debian.

Source: ossf.github.io/osv-schema. A file is one record, a list of them, ``{"vulns": [...]}`` as the service answers, or
a zip of records as it publishes each ecosystem. Unknown fields are ignored, as the format asks of its readers.
"""

import json
import lzma
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from cloister import userfile
from image.audit import streaming_json
from image.audit.advisory import Advisory, FixState
from image.audit.components import Component, Ecosystem
from image.audit.errors import DataError
from image.audit.ranges import Affected, Order, debian_order, judge, python_order

NAME = "osv"
_WHAT = "OSV data"
_LARGEST = 1 << 26
_LARGEST_RECORD = 1 << 24
_MOST_RECORDS = 1_000_000
_RELEASES = {"bookworm": "12", "trixie": "13", "forky": "14", "duke": "15"}
_ORDERS: Mapping[Ecosystem, Callable[[str], Order]] = {Ecosystem.DEBIAN: debian_order, Ecosystem.PYPI: python_order}

# A name that is not UTF-8 is a ValueError.
_NO_ZIP = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError)
_DAMAGED = (*_NO_ZIP, NotImplementedError, RuntimeError, ValueError)

Key = tuple[Ecosystem, str]


@dataclass(frozen=True)
class Osv:
    """What the records say, by ecosystem and name; each with the part that is about this package.

    unknown: the ecosystems of the components that no record is about, withdrawn ones included: such a file says nothing
        of them.
    """

    records: Mapping[Key, list[tuple[Mapping[str, Any], Mapping[str, Any]]]]
    unknown: tuple[str, ...] = ()

    def advisories(self, component: Component) -> list[Advisory]:
        """The vulnerabilities that the component has, or may have."""
        found = []
        for record, affected in self.records.get((component.ecosystem, component.name), []):
            verdict = judge(affected, component.version, _ORDERS[component.ecosystem])
            if verdict.affected is not Affected.NO:
                found.append(_advisory(record, affected, verdict.affected, verdict.fixed))
        return found


def read(path: Path, suite: str, components: Iterable[Component]) -> Osv:
    """Read what the file says of the components. Raises DataError."""
    if suite not in _RELEASES:
        raise DataError(
            f"OSV names Debian's releases by number, and that of {suite} is not known to this version.",
            hint=f"Known releases: {', '.join(_RELEASES)}. Leave --osv out, or extend image/audit/osv.py.",
        )
    ecosystems = {"PyPI": Ecosystem.PYPI, f"Debian:{_RELEASES[suite]}": Ecosystem.DEBIAN}
    wanted = {(one.ecosystem, one.name) for one in components}
    records: dict[Key, list[tuple[Mapping[str, Any], Mapping[str, Any]]]] = defaultdict(list)
    seen: set[Ecosystem] = set()
    try:
        with userfile.open_regular(path) as file:
            for record in _zipped(file, path) if _is_zip(file) else _listed(file, path):
                withdrawn = bool(record.get("withdrawn"))
                for affected in _parts(record, path) if "affected" in record or not withdrawn else ():
                    package = affected.get("package")
                    named = package if isinstance(package, dict) else {}
                    ecosystem = ecosystems.get(str(named.get("ecosystem")))
                    if ecosystem is None:
                        continue
                    seen.add(ecosystem)
                    if withdrawn:
                        continue
                    name = str(named.get("name"))
                    key = (ecosystem, canonicalize_name(name) if ecosystem is Ecosystem.PYPI else name)
                    if key in wanted:
                        records[key].append((record, affected))
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    asked = {ecosystem for ecosystem, _ in wanted}
    return Osv(records, tuple(name for name, one in ecosystems.items() if one in asked - seen))


def _is_zip(file: BufferedReader) -> bool:
    return file.peek(4)[:2] == b"PK"


def _zipped(file: BufferedReader, path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        with zipfile.ZipFile(file) as archive:
            listed = [one for one in archive.infolist() if one.filename.endswith(".json")]
            if len(listed) > _MOST_RECORDS:
                raise DataError(f"{path} has more than {_MOST_RECORDS} records.")
            for one in listed:
                with archive.open(one) as member:
                    content = member.read(_LARGEST_RECORD + 1)
                if len(content) > _LARGEST_RECORD:
                    raise DataError(f"{path}: {one.filename} has more than {_LARGEST_RECORD} bytes.")
                yield _record(_json(content, path, one.filename), path)
            if not listed:
                raise DataError(f"{path} is not {_WHAT}: no record is in it.")
    except _DAMAGED as error:
        raise DataError(f"{path} is not {_WHAT}: {error}.") from error


def _listed(file: BufferedReader, path: Path) -> Iterator[Mapping[str, Any]]:
    content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise DataError(f"{path} has more than {_LARGEST} bytes.", hint="Bring the zip that OSV publishes instead.")
    value = _json(content, path, "")
    if isinstance(value, dict) and "vulns" in value:
        value = value["vulns"]
    for one in value if isinstance(value, list) else [value]:
        yield _record(one, path)


def _json(content: bytes, path: Path, name: str) -> Any:
    try:
        return json.loads(content, object_pairs_hook=streaming_json.once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not {_WHAT}: {name or 'it'} is not JSON: {error}.") from error


def _record(value: object, path: Path) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise DataError(f"{path} is not {_WHAT}: a record has no id.")
    if "affected" not in value and "withdrawn" not in value:
        raise DataError(
            f"{path}: {value['id'][:80]} does not say what it affects.",
            hint="An answer of OSV's querybatch has identifiers only. Bring the records themselves.",
        )
    return value


def _parts(record: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    parts = record.get("affected")
    if not isinstance(parts, list) or not all(isinstance(one, dict) for one in parts):
        raise DataError(f"{path} is not {_WHAT}: 'affected' of {record['id'][:80]} is not a list of objects.")
    return parts


def _strings(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _advisory(record: Mapping[str, Any], affected: Mapping[str, Any], verdict: Affected, fixed: str) -> Advisory:
    names = {record["id"], *_strings(record.get("aliases"))}
    upstream = _strings(record.get("upstream"))
    # What a distribution's record of one vulnerability is about. An advisory for several, such as a DSA, stays itself.
    names |= set(upstream if len(upstream) == 1 else [])
    chosen = min((name for name in names if name.startswith("CVE-")), default=record["id"])
    state = FixState.UNDETERMINED if verdict is Affected.UNKNOWN else FixState.FIXABLE if fixed else FixState.OPEN
    said = {}
    for place, key, ours in (
        (affected.get("ecosystem_specific"), "urgency", "urgency"),
        (record.get("database_specific"), "severity", "severity"),
    ):
        if isinstance(place, dict) and isinstance(place.get(key), str):
            said[ours] = place[key]
    if "severity" not in said and (scores := record.get("severity")) and isinstance(scores, list):
        first = scores[0]
        if isinstance(first, dict) and isinstance(first.get("score"), str):
            said["severity"] = first["score"]
    summary = record.get("summary") or record.get("details")
    others = tuple(sorted(names - {chosen}))
    return Advisory(NAME, chosen, state, fixed, others, summary if isinstance(summary, str) else "", said)
