"""Findings: one for each vulnerability in a component, what counts, and what a team has accepted."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from cloister.errors import InputError
from image.audit import accepted, findings
from image.audit.accepted import Acceptance
from image.audit.advisory import Advisory, FixState
from image.audit.components import Component, Ecosystem
from image.audit.findings import FailOn, Finding

TODAY = datetime.date(2026, 11, 30)


def component(files: tuple[str, ...] | None = ("usr/lib/x",)) -> Component:
    return Component(Ecosystem.PYPI, "small", "1.5", "small", "1.5", files=files)


def finding(
    state: FixState, files: tuple[str, ...] | None, said: Mapping[str, str], decision: Acceptance | None = None
) -> Finding:
    return Finding(component(files), "CVE-1", (), state, "", ("tracker",), "", said, decision)


THERE, GONE, UNKNOWN = ("usr/lib/x",), (), None
MINOR = {"no_dsa": "Minor issue", "no_dsa_reason": ""}


@pytest.mark.parametrize(
    ("one", "levels"),
    [
        (finding(FixState.FIXABLE, THERE, {}), "fixable open all"),
        (finding(FixState.FIXABLE, UNKNOWN, {}), "fixable open all"),
        (finding(FixState.FIXABLE, GONE, {}), ""),
        (finding(FixState.FIXABLE, THERE, MINOR), "fixable open all"),
        (finding(FixState.OPEN, THERE, {"urgency": "high"}), "open all"),
        (finding(FixState.OPEN, THERE, MINOR), "all"),
        (finding(FixState.OPEN, THERE, {"urgency": "unimportant"}), "all"),
        (finding(FixState.UNDETERMINED, UNKNOWN, {}), "open all"),
        (finding(FixState.OPEN, GONE, {}), ""),
        (finding(FixState.FIXABLE, THERE, {}, Acceptance("CVE-1", "small", "why", TODAY)), ""),
    ],
)
def test_which_level_counts_a_finding(one: Finding, levels: str) -> None:
    assert [level.value for level in FailOn if one.counts(level)] == levels.split()


def of(*advisories: Advisory) -> list[tuple[str, tuple[str, ...], FixState, str]]:
    found = findings.collect([component()], [lambda _: list(advisories)])
    return [(one.id, one.names, one.state, one.fixed) for one in found]


def test_one_vulnerability_of_several_names_is_one_finding() -> None:
    ghsa = Advisory("osv", "CVE-1", FixState.FIXABLE, "1.9", ("GHSA-1",))
    pysec = Advisory("osv", "PYSEC-1", FixState.FIXABLE, "1.10", ("GHSA-1",))
    other = Advisory("osv", "CVE-2", FixState.OPEN)
    assert of(ghsa, other, pysec) == [
        ("CVE-1", ("GHSA-1", "PYSEC-1"), FixState.FIXABLE, "1.10"),
        ("CVE-2", (), FixState.OPEN, ""),
    ]
    assert of(pysec, ghsa) == [("CVE-1", ("GHSA-1", "PYSEC-1"), FixState.FIXABLE, "1.10")]


def test_worst_state_is_taken_and_nothing_said_is_lost() -> None:
    debian = Advisory("tracker", "CVE-1", FixState.UNDETERMINED, said={"urgency": "low"})
    theirs = Advisory("osv", "CVE-1", FixState.OPEN, said={"urgency": "medium", "severity": "HIGH"})
    (one,) = findings.collect([component()], [lambda _: [debian], lambda _: [theirs]])
    assert (one.state, one.databases, dict(one.said)) == (
        FixState.OPEN,
        ("tracker", "osv"),
        {"urgency": "low", "severity": "HIGH"},
    )


def test_findings_are_in_the_order_of_their_numbers() -> None:
    names = ["CVE-2026-1000", "CVE-2025-3", "CVE-2026-999", "GHSA-x", f"CVE-2026-{'9' * 5000}"]
    assert [one[0] for one in of(*(Advisory("osv", name, FixState.OPEN) for name in names))][:4] == [
        "CVE-2025-3",
        "CVE-2026-999",
        "CVE-2026-1000",
        names[4],
    ]


FILE = """
[[accept]]
id = "CVE-1"
package = "small"
reason = "the function is not called"
until = 2026-12-31

[[accept]]
id = "CVE-1"
package = "other"
reason = "the same"
until = 2026-01-31
"""


def test_decision_is_for_one_package_and_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "accepted.toml").write_text(FILE)
    decisions = accepted.read(tmp_path / "accepted.toml")
    found = findings.collect([component()], [lambda _: [Advisory("osv", "GHSA-1", FixState.OPEN, "", ("CVE-1",))]])
    (one,), notes = findings.decide(found, decisions, datetime.date(2026, 12, 31))
    assert (one.accepted and one.accepted.reason) == "the function is not called"
    assert notes == ["The acceptance of CVE-1 in other ended on 2026-01-31."]
    (one,), notes = findings.decide(found, decisions, datetime.date(2027, 1, 1))
    assert one.accepted is None
    assert notes[0] == "The acceptance of CVE-1 in small ended on 2026-12-31."
    assert findings.decide([], decisions, datetime.date(2026, 1, 1))[1] == [
        "The acceptance of CVE-1 in small fits no finding: remove it.",
        "The acceptance of CVE-1 in other fits no finding: remove it.",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('id = "CVE-1"', "id = 1"), "'id' must be of type str"),
        (('reason = "the same"', ""), "the key 'reason' is missing"),
        (('reason = "the same"', 'reason = " "'), "needs a reason"),
        (("until = 2026-01-31", "until = 2026-01-31T00:00:00Z"), "a date such as"),
        (("until = 2026-01-31", 'until = "2026-01-31"'), "'until' must be of type date"),
        (("until = 2026-01-31", "until = 2026-01-31\nwhy = 1"), "unknown key 'why'"),
        (("[[accept]]", "[accept]"), "not valid TOML|must be of type list"),
        (("[[accept]]", "[[accepted]]"), "unknown key 'accepted'"),
        (("id", "=id"), "not valid TOML"),
    ],
)
def test_invalid_decisions_are_refused(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    (tmp_path / "accepted.toml").write_text(FILE.replace(*change))
    with pytest.raises(InputError, match=said) as caught:
        accepted.read(tmp_path / "accepted.toml")
    assert caught.value.exit_code == 2
