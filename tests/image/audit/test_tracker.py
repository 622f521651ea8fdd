"""What Debian's tracker says of locked versions: by source package and release, nothing taken for harmless."""

import json
from pathlib import Path
from typing import Any

import pytest

from image.audit import tracker
from image.audit.advisory import FixState
from image.audit.components import Component, Ecosystem
from image.audit.errors import DataError
from tests.image.audit import small_lock
from tests.image.audit.small_lock import release

GLIBC = Component(Ecosystem.DEBIAN, "glibc", "2.41-12+deb13u4", "libc6", "2.41-12+deb13u4")


def said(path: Path, issue: dict[str, Any], component: Component = GLIBC) -> list[tuple[Any, ...]]:
    small_lock.tracker(path, {"glibc": {"CVE-2026-1": issue}})
    found = tracker.read(path, "trixie", [component]).advisories(component)
    return [(one.state, one.fixed, dict(one.said)) for one in found]


PLAIN = {"urgency": "not yet assigned"}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (release("resolved", "2.41-12+deb13u5"), [(FixState.FIXABLE, "2.41-12+deb13u5", PLAIN)]),
        (release("resolved", "2.41-12+deb13u4"), []),
        (release("resolved", "2.41-12~rc1"), []),
        (release("resolved", "0"), []),
        (release("open"), [(FixState.OPEN, "", PLAIN)]),
        (release("open", urgency="unimportant"), [(FixState.OPEN, "", {"urgency": "unimportant"})]),
        (release("open", urgency="end-of-life"), [(FixState.OPEN, "", {"urgency": "end-of-life"})]),
        (
            release("open", nodsa="Minor issue", nodsa_reason="postponed", next_point_update=True),
            [
                (
                    FixState.OPEN,
                    "",
                    {**PLAIN, "no_dsa": "Minor issue", "no_dsa_reason": "postponed", "next_point_update": "yes"},
                )
            ],
        ),
        (
            release("open", nodsa="Ignored", nodsa_reason=""),
            [(FixState.OPEN, "", {**PLAIN, "no_dsa": "Ignored", "no_dsa_reason": ""})],
        ),
        (release("undetermined"), [(FixState.UNDETERMINED, "", PLAIN)]),
        (release("not-affected"), [(FixState.UNDETERMINED, "", {**PLAIN, "status": "not-affected"})]),
        (release("resolved"), [(FixState.UNDETERMINED, "", {**PLAIN, "status": "resolved"})]),
        (release("resolved", "<unfixed>"), [(FixState.UNDETERMINED, "", {**PLAIN, "status": "resolved"})]),
        (release("resolved", "9" * 6000), [(FixState.UNDETERMINED, "", {**PLAIN, "status": "resolved"})]),
        ({"releases": {"sid": {"status": "open"}, "trixie": {"status": "resolved", "fixed_version": "0"}}}, []),
    ],
)
def test_state_of_a_locked_version(tmp_path: Path, entry: dict[str, Any], expected: list[Any]) -> None:
    assert said(tmp_path / "data", entry) == expected


def test_version_below_zero_is_not_affected_either(tmp_path: Path) -> None:
    """0 stands for a release that never had the vulnerability."""
    early = Component(Ecosystem.DEBIAN, "glibc", "0~20200101-1", "libc6", "0~20200101-1")
    assert said(tmp_path / "data", release("resolved", "0"), early) == []


def test_issue_of_other_releases_only_does_not_count(tmp_path: Path) -> None:
    data = small_lock.tracker(
        tmp_path / "data",
        {"glibc": {"CVE-1": {"releases": {"sid": {"status": "open"}}}, "CVE-2": release("open")}},
    )
    assert [one.id for one in tracker.read(data, "trixie", [GLIBC]).advisories(GLIBC)] == ["CVE-2"]


def test_wheel_of_the_same_name_is_not_the_package(tmp_path: Path) -> None:
    wheel = Component(Ecosystem.PYPI, "glibc", "1", "glibc", "1")
    data = small_lock.tracker(tmp_path / "data", {"glibc": {"CVE-2": release("open")}})
    assert tracker.read(data, "trixie", [GLIBC, wheel]).advisories(wheel) == []


def test_data_older_than_the_lock_is_told(tmp_path: Path) -> None:
    entry = release("open", repositories={"trixie": "2.41-12", "trixie-security": "2.41-12+deb13u3"})
    data = small_lock.tracker(tmp_path / "data", {"glibc": {"CVE-1": entry}})
    (one,) = tracker.read(data, "trixie", [GLIBC]).older_than([GLIBC])
    assert one == "glibc: the tracker's file knows 2.41-12+deb13u3, the lock has 2.41-12+deb13u4"
    newer = release("open", repositories={"trixie": "2.41-12+deb13u5", "other": "no version"})
    data = small_lock.tracker(tmp_path / "data", {"glibc": {"CVE-1": newer}})
    assert tracker.read(data, "trixie", [GLIBC]).older_than([GLIBC]) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"glibc": []}, "glibc has list, not an object"),
        ({"glibc": {"CVE-1": 1}}, "glibc has int, not an object"),
        ({"glibc": {"CVE-1": {}}}, "CVE-1 has NoneType, not an object"),
        ({"glibc": {"CVE-1": {"releases": {"trixie": "open"}}}}, "CVE-1 has str, not an object"),
        ({"glibc": {"CVE-1": {"releases": {"trixie": {"repositories": []}}}}}, "CVE-1 has list, not an object"),
        (
            {"glibc": {"CVE-1": {"releases": {"bookworm": {"status": "open"}}}}},
            "says nothing of trixie for any of the 1",
        ),
        ({}, "says nothing of trixie"),
    ],
)
def test_what_is_not_the_trackers_is_refused(tmp_path: Path, value: object, said: str) -> None:
    (tmp_path / "data").write_text(json.dumps(value))
    with pytest.raises(DataError, match=said):
        tracker.read(tmp_path / "data", "trixie", [GLIBC])
