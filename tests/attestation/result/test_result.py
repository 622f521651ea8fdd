"""A verdict has every check once, with a sentence for each failure."""

import pytest

from cloister.attestation.checks import CHECKS
from cloister.attestation.errors import AttestationError
from cloister.attestation.result.verdict import Check, CheckOutcome, Recorder, failed_names


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1, "pcr-0 failed"),
        (6, "pcr-0, pcr-1, pcr-2, pcr-3, pcr-4, pcr-5 failed"),
        (7, "pcr-0, pcr-1, pcr-2, pcr-3, pcr-4, pcr-5 and 1 more failed"),
        (40, "pcr-0, pcr-1, pcr-2, pcr-3, pcr-4, pcr-5 and 34 more failed"),
    ],
)
def test_failed_checks_are_named_and_counted_beyond_six(count: int, says: str) -> None:
    failures = [Check(f"pcr-{index}", CheckOutcome.FAILED, "one", "another") for index in range(count)]

    assert failed_names(failures) == says


def test_forgotten_check_does_not_count_as_passed() -> None:
    checks = Recorder(("pcr-0", "pcr-1"), CHECKS)
    checks.record("pcr-0", True, "one", "one")

    with pytest.raises(AttestationError, match="pcr-1 were not made"):
        checks.finish()


def test_checks_after_a_failure_are_listed_in_order() -> None:
    checks = Recorder(("pcr-0", "pcr-1", "pcr-2"), CHECKS)
    checks.record("pcr-1", False, "one", "another")

    reason = "it cannot be checked after pcr-1 failed"
    assert checks.finish() == (
        Check("pcr-0", CheckOutcome.NOT_APPLICABLE, "", "", reason),
        Check("pcr-1", CheckOutcome.FAILED, "one", "another"),
        Check("pcr-2", CheckOutcome.NOT_APPLICABLE, "", "", reason),
    )


@pytest.mark.parametrize("name", ["pcr-0", "pcr-1"])
def test_check_is_recorded_once_and_belongs_to_the_platform(name: str) -> None:
    checks = Recorder(("pcr-0",), CHECKS)
    checks.record("pcr-0", False, "one", "another")

    with pytest.raises(AttestationError, match=f"{name} was recorded twice or is unknown"):
        checks.record(name, True, "one", "one")
    with pytest.raises(AttestationError, match="nothing is accepted"):
        checks.not_applicable(name, "it does not matter")
    assert checks.failed() == ("pcr-0",)


def test_empty_list_of_the_policy_rejects() -> None:
    checks = Recorder(("pcr-0",), CHECKS)

    assert not checks.one_of("pcr-0", [], b"")
    (check,) = checks.finish()
    assert check.expected == "one that the policy names, and it names none"
