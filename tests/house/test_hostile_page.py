"""The page of hostile disks and hosts has the table that the machines are tested with."""

from tests.e2e.hostile.cases import CASES, Detected, NoBoot, Same
from tools.suites import CHECKOUT


def test_page_has_every_case_with_its_outcome() -> None:
    page = (CHECKOUT / "docs/hostile-host.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]

    assert rows == [f"| `{name}` | {case.what} | {case.outcome.sentence()} |" for name, case in CASES.items()]


def test_every_kind_of_outcome_occurs_with_and_without_secure_boot() -> None:
    for secure in (False, True):
        assert {type(case.outcome) for case in CASES.values() if case.secure == secure} == {NoBoot, Detected, Same}
