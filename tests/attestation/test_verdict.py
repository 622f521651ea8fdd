"""What a verdict says in a sentence."""

import pytest

from cloister.attestation.verdict import Check, Outcome, named


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1, "pcr-0 failed"),
        (6, "pcr-0, pcr-1, pcr-2, pcr-3, pcr-4, pcr-5 failed"),
        (7, "pcr-0, pcr-1, pcr-2, pcr-3, pcr-4, pcr-5 and 1 more failed"),
        (40, "pcr-0, pcr-1, pcr-2, pcr-3, pcr-4, pcr-5 and 34 more failed"),
    ],
)
def test_failed_checks_are_named_and_from_a_handful_on_counted(count: int, says: str) -> None:
    failures = [Check(f"pcr-{index}", Outcome.FAILED, "one", "another") for index in range(count)]

    assert named(failures) == says
