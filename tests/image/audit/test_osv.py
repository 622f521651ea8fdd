"""OSV data in each form in which it is published, for wheels and for Debian's packages."""

import contextlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloister.errors import InputError
from image.audit import osv
from image.audit.advisory import FixState
from image.audit.components import Component, Ecosystem
from image.audit.errors import DataError
from tests.image.audit.small_lock import record

WHEEL = Component(Ecosystem.PYPI, "small-pkg", "1.5", "Small_Pkg", "1.5")
GLIBC = Component(Ecosystem.DEBIAN, "glibc", "2.41-12", "libc6", "2.41-12")
FIXED = [{"introduced": "0"}, {"fixed": "1.6"}]
RECORD = record("GHSA-1", ("PyPI", "small.pkg", FIXED), aliases=["CVE-2026-1"], summary="what")


def zipped(path: Path, value: Any) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.md", "not a record")
        archive.writestr(f"{value['id']}.json", json.dumps(value))


FORMS: dict[str, Callable[[Path, Any], object]] = {
    "one": lambda path, value: path.write_text(json.dumps(value)),
    "list": lambda path, value: path.write_text(json.dumps([value])),
    "answer": lambda path, value: path.write_text(json.dumps({"vulns": [value]})),
    "zip": zipped,
}


def said(path: Path, component: Component, *records: dict[str, Any]) -> list[tuple[Any, ...]]:
    path.write_text(json.dumps(records))
    found = osv.read(path, "trixie", [component]).advisories(component)
    return [(one.id, one.state, one.fixed, one.names, dict(one.said)) for one in found]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(tmp_path: Path, form: str) -> None:
    FORMS[form](tmp_path / "data", RECORD)
    (one,) = osv.read(tmp_path / "data", "trixie", [WHEEL]).advisories(WHEEL)
    assert (one.id, one.names, one.state, one.fixed) == ("CVE-2026-1", ("GHSA-1",), FixState.FIXABLE, "1.6")
    assert one.summary == "what"


@pytest.mark.parametrize(
    "part",
    [
        ("PyPI", "other", FIXED),
        ("npm", "small-pkg", FIXED),
        ("PyPI", "small-pkg", [{"introduced": "1.6"}]),
        ("Debian:13", "small-pkg", [{"introduced": "0"}]),
    ],
)
def test_record_of_something_else_says_nothing(tmp_path: Path, part: Any) -> None:
    assert said(tmp_path / "data", WHEEL, record("X", part)) == []


@pytest.mark.parametrize(
    ("records", "unknown"),
    [
        ([], ("PyPI", "Debian:13")),
        ([record("X", ("npm", "small-pkg", FIXED))], ("PyPI", "Debian:13")),
        ([record("X", ("PyPI", "other", FIXED))], ("Debian:13",)),
        ([record("X", ("Debian:12", "glibc", FIXED)), record("Y", ("Debian:13", "other", FIXED))], ("PyPI",)),
        ([{**RECORD, "withdrawn": "2026-01-02T00:00:00Z"}], ("Debian:13",)),
    ],
)
def test_ecosystems_without_any_record_are_named(tmp_path: Path, records: Any, unknown: tuple[str, ...]) -> None:
    (tmp_path / "data").write_text(json.dumps(records))
    assert osv.read(tmp_path / "data", "trixie", [WHEEL, GLIBC]).unknown == unknown
    assert osv.read(tmp_path / "data", "trixie", []).unknown == ()


def test_withdrawn_record_says_nothing(tmp_path: Path) -> None:
    assert said(tmp_path / "data", WHEEL, {**RECORD, "withdrawn": "2026-01-02T00:00:00Z"}) == []
    assert said(tmp_path / "data", WHEEL, {"id": "GONE", "withdrawn": "2026-01-02T00:00:00Z", "affected": []}) == []


@pytest.mark.parametrize("part", ["Debian:12", "Debian", "Debian:14", "Debian:13:experimental"])
def test_another_release_of_debian_says_nothing(tmp_path: Path, part: str) -> None:
    ours = ("Debian:13", "glibc", [{"introduced": "0"}])
    assert said(tmp_path / "data", GLIBC, record("X", (part, "glibc", [{"introduced": "0"}]))) == []
    assert len(said(tmp_path / "data", GLIBC, record("X", (part, "glibc", [{"introduced": "0"}]), ours))) == 1


def test_distributions_record_has_the_number_of_its_vulnerability(tmp_path: Path) -> None:
    part = ("Debian:13", "glibc", [{"introduced": "0"}, {"fixed": "2.41-13"}])
    made = record("DEBIAN-CVE-2026-2", part, upstream=["CVE-2026-2"])
    made["affected"][0]["ecosystem_specific"] = {"urgency": "unimportant"}
    names = ("DEBIAN-CVE-2026-2",)
    assert said(tmp_path / "data", GLIBC, made) == [
        ("CVE-2026-2", FixState.FIXABLE, "2.41-13", names, {"urgency": "unimportant"})
    ]
    # One for several stays itself.
    several = record("DSA-1-1", part, upstream=["CVE-2026-2", "CVE-2026-3"])
    assert said(tmp_path / "data", GLIBC, several) == [("DSA-1-1", FixState.FIXABLE, "2.41-13", (), {})]


def test_what_cannot_be_decided_is_undetermined(tmp_path: Path) -> None:
    commits = {"package": {"ecosystem": "PyPI", "name": "small-pkg"}, "ranges": [{"type": "GIT", "events": []}]}
    made = {"id": "X", "affected": [commits], "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}]}
    assert said(tmp_path / "data", WHEEL, made) == [("X", FixState.UNDETERMINED, "", (), {"severity": "CVSS:3.1/AV:N"})]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"PK no zip", "is not OSV data"),
        (b'{"id": 1, "affected": []}', "a record has no id"),
        (b'["text"]', "a record has no id"),
        (b'{"vulns": [{"id": "X", "modified": "y"}]}', "X does not say what it affects"),
        (b'{"id": "X", "affected": {}}', "'affected' of X is not a list of objects"),
        (b'{"id": "X", "affected": [1]}', "'affected' of X is not a list of objects"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"id": "X", "affected": [], "id": "Y"}', "'id' is there twice"),
        (b'{"id": "X", "affected": [{"ranges": [], "ranges": []}]}', "'ranges' is there twice"),
        (b'{"id": "X", "withdrawn": ""}', "'affected' of X is not a list of objects"),
    ],
)
def test_what_is_not_osv_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(DataError, match=said):
        osv.read(tmp_path / "data", "trixie", [WHEEL])


def test_sizes_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipped(tmp_path / "zip", RECORD)
    (tmp_path / "json").write_text(json.dumps(RECORD))
    monkeypatch.setattr(osv, "_LARGEST", 10)
    monkeypatch.setattr(osv, "_LARGEST_RECORD", 10)
    for name in ("zip", "json"):
        with pytest.raises(DataError, match="has more than 10 bytes"):
            osv.read(tmp_path / name, "trixie", [WHEEL])
    monkeypatch.setattr(osv, "_MOST_RECORDS", 0)
    with pytest.raises(DataError, match="has more than 0 records"):
        osv.read(tmp_path / "zip", "trixie", [WHEEL])


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_with_any_byte_changed_is_read_or_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "whole", "w", method) as archive:
        archive.writestr("GHSA-1.json", json.dumps(RECORD))
    content = (tmp_path / "whole").read_bytes()
    for place in range(2, len(content)):
        (tmp_path / "data").write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(InputError):
            osv.read(tmp_path / "data", "trixie", [WHEEL])


def test_zip_without_a_record_is_refused(tmp_path: Path) -> None:
    """Otherwise an audit would find nothing, and pass."""
    with zipfile.ZipFile(tmp_path / "data", "w") as archive:
        archive.writestr("README", "moved")
    with pytest.raises(DataError, match="no record is in it"):
        osv.read(tmp_path / "data", "trixie", [WHEEL])


def test_damaged_zip_is_refused(tmp_path: Path) -> None:
    zipped(tmp_path / "data", RECORD)
    content = bytearray((tmp_path / "data").read_bytes())
    content[content.index(b"GHSA-1.json") + 20] ^= 0xFF
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(DataError, match="is not OSV data"):
        osv.read(tmp_path / "data", "trixie", [WHEEL])


def test_release_without_a_known_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="that of sid is not known"):
        osv.read(tmp_path / "data", "sid", [WHEEL])
