"""Which parts evidence of a platform has: those that it must have, those that it may have, and no other."""

from cloister.attestation.evidence import PARTS, Evidence
from cloister.attestation.result import Recorder

_EVERY = ("tpm_quote", "ak_certificates", "boot_event_log", *PARTS)


def check_parts(
    checks: Recorder, evidence: Evidence, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> bool:
    """All of ``required`` are there, and at most ``optional`` besides."""
    present = [name for name in _EVERY if getattr(evidence, name)]
    complete = set(required) <= set(present) <= {*required, *optional}
    wanted = ", ".join(required) + (f", and at most {', '.join(optional)} besides" if optional else "")
    return checks.record("parts", complete, wanted, ", ".join(present) or "none of them")
