"""The verdict on a machine whose party has statements about the image."""

from typing import Any

from cloister.attestation.result.verdict import Check, Verdict
from cloister.attestation.testkit import LocalMachine
from cloister.attestation.verifier import RecordingPurpose, SessionPurpose, verify
from tests.attestation.platforms.test_local import AT, BINDING, SESSION
from tests.attestation.statements.samples import (
    brought,
)
from tests.attestation.wording import require_words


def judged(
    machine: LocalMachine, name: str, *given: bytes, seen: tuple[bytes, ...] = (), live: bool = True, **demands: Any
) -> tuple[Check, Verdict]:
    """The check ``name`` under a policy with ``demands``, with these statements."""
    purpose: SessionPurpose | RecordingPurpose = SESSION if live else RecordingPurpose()
    verdict = verify(
        machine.evidence(BINDING),
        machine.policy(**demands),
        purpose=purpose,
        at=AT,
        collateral=brought(*given, seen=seen),
    )
    require_words(verdict)
    (check,) = [one for one in verdict.checks if one.name == name]
    assert set(verdict.failures) <= {check}
    return check, verdict
