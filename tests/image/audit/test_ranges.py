"""The rules of the OSV format: which versions an entry of ``affected`` has."""

from typing import Any

import pytest

from image.audit.ranges import Affected, Judgement, debian_order, judge, python_order

NO, UNKNOWN, YES = Affected.NO, Affected.UNKNOWN, Affected.YES


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": [{name: version} for name, version in pairs]}]}


ALL = ("introduced", "0")


@pytest.mark.parametrize(
    ("affected", "version", "expected"),
    [
        (events(ALL), "1.0", Judgement(YES)),
        (events(ALL, ("fixed", "1.10")), "1.9", Judgement(YES, "1.10")),
        (events(ALL, ("fixed", "1.10")), "1.10", Judgement(NO)),
        (events(ALL, ("fixed", "1.10.0")), "1.10", Judgement(NO)),
        (events(("fixed", "1.10"), ALL), "1.9", Judgement(YES, "1.10")),
        (events(ALL, ("fixed", "1.10")), "1.10rc1", Judgement(YES, "1.10")),
        (events(ALL, ("last_affected", "1.5")), "1.5", Judgement(YES)),
        (events(ALL, ("last_affected", "1.5")), "1.5.1", Judgement(NO)),
        (events(("introduced", "2.0"), ("fixed", "2.2")), "1.9", Judgement(NO)),
        (events(("introduced", "2.0"), ("fixed", "2.2")), "2.0", Judgement(YES, "2.2")),
        # Fixed in two lines of versions.
        (events(ALL, ("fixed", "1.2"), ("introduced", "2.0"), ("fixed", "2.1")), "1.3", Judgement(NO)),
        (events(ALL, ("fixed", "1.2"), ("introduced", "2.0"), ("fixed", "2.1")), "2.0.5", Judgement(YES, "2.1")),
        (events(("introduced", "1.0"), ("limit", "2.0")), "1.9", Judgement(YES)),
        (events(("introduced", "1.0"), ("limit", "2.0")), "2.0", Judgement(NO)),
        (events(("introduced", "1.0"), ("limit", "*")), "9", Judgement(YES)),
        (events(ALL, ("fixed", "1.2"), kind="SEMVER"), "1.1", Judgement(YES, "1.2")),
        # Versions that are listed, also without a range, and written in another way.
        ({"versions": ["1.0", "1.1"]}, "1.1.0", Judgement(YES)),
        ({"versions": ["1.0", "not a version"]}, "1.1", Judgement(NO)),
        ({"versions": ["1.1"], **events(("introduced", "3"), ("fixed", "4"))}, "1.1", Judgement(YES, "4")),
        # What cannot be decided.
        (events(("introduced", "abc"), kind="GIT"), "1.0", Judgement(UNKNOWN)),
        ({}, "1.0", Judgement(UNKNOWN)),
        ({"versions": [], "ranges": []}, "1.0", Judgement(UNKNOWN)),
        (events(ALL, ("fixed", "no version")), "1.0", Judgement(UNKNOWN)),
        (events(("fixed", "2.0")), "1.0", Judgement(UNKNOWN)),
        (events(ALL, ("mended", "2.0")), "1.0", Judgement(UNKNOWN)),
        ({"ranges": [{"type": "ECOSYSTEM"}]}, "1.0", Judgement(UNKNOWN)),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": 0}]}]}, "1.0", Judgement(UNKNOWN)),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{}]}]}, "1.0", Judgement(UNKNOWN)),
        (events(ALL, ("fixed", "9" * 5000)), "1.0", Judgement(UNKNOWN)),
        (events(ALL), "not a version", Judgement(UNKNOWN)),
    ],
)
def test_python_versions(affected: dict[str, Any], version: str, expected: Judgement) -> None:
    assert judge(affected, version, python_order) == expected


@pytest.mark.parametrize(
    ("fixed", "version", "expected"),
    [
        ("2.41-12+deb13u5", "2.41-12+deb13u4", Judgement(YES, "2.41-12+deb13u5")),
        ("2.41-12+deb13u5", "2.41-12+deb13u5", Judgement(NO)),
        ("1.0~rc1-1", "1.0-1", Judgement(NO)),
        ("1:0.9-1", "2.0-1", Judgement(YES, "1:0.9-1")),
        ("a:1", "1", Judgement(UNKNOWN)),
        ("<unfixed>", "1", Judgement(UNKNOWN)),
    ],
)
def test_debian_versions(fixed: str, version: str, expected: Judgement) -> None:
    assert judge(events(ALL, ("fixed", fixed)), version, debian_order) == expected
