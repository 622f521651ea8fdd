"""A verdict as sentences for people."""

from collections.abc import Iterator, Sequence

from cloister.attestation.raw_evidence import RawVerdict
from cloister.attestation.result import Check, CheckOutcome, Verdict, failed_names
from cloister.protocol import text
from cloister.units import format_size, local_time

_MARKS = {CheckOutcome.PASSED: "passed", CheckOutcome.FAILED: "FAILED", CheckOutcome.NOT_APPLICABLE: "-"}
_ROLLBACK = "an older state is noticed, but not of what an algorithm writes there under limits.scratch"
_GENUINE = "GENUINE, but this accepts no machine"


def verdict_lines(verdict: Verdict | RawVerdict) -> Iterator[str]:
    """Every check with expected and found, skipped collateral, the claims, and the verdict in the last line."""
    yield from _checks(verdict.checks)
    for one in verdict.skipped:
        source = "from your files or a vendor" if one.brought else "from the evidence"
        yield f"Skipped   {one.kind} {source}, SHA-256 {one.digest.hex()}: {text.printable(one.reason)}"
    yield from verdict_summary(verdict) if isinstance(verdict, Verdict) else _raw_summary(verdict)


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    width = max(len(check.name) for check in checks)
    for check in checks:
        if check.outcome is CheckOutcome.PASSED:
            said = check.found
        elif check.outcome is CheckOutcome.FAILED:
            said = f"expected {check.expected}, found {check.found}"
        else:
            said = f"not judged: {check.reason}" + (f" (found {check.found})" if check.found else "")
        yield f"  {_MARKS[check.outcome]:<6}  {check.name:<{width}}  {said}"


def verdict_summary(verdict: Verdict) -> Iterator[str]:
    """The claims and the verdict, without the checks."""
    claims = verdict.claims
    configuration = claims.boot_configuration
    yield f"Machine   {configuration.cvm} of the workspace {configuration.workspace}, platform {verdict.platform}"
    if claims.image is not None:
        flavor, digest = claims.image
        yield f"Image     {flavor}, manifest {digest.hex()}"
    if configuration.scratch:
        size = format_size(configuration.scratch)
        yield f"Scratch   {size} of the host's disk, encrypted; {_ROLLBACK}"
    yield f"Manifest  {claims.manifest_digest.hex() if claims.manifest_digest else 'none submitted yet'}"
    if verdict.accepted and not verdict.confidential:
        yield "Note      not confidential: the host can read everything in this machine"
    if verdict.recording:
        yield "Note      appraised as a recording: not for a session or receipt of yours"
    yield _decision(verdict, _GENUINE if verdict.recording else "ACCEPTED")


def _raw_summary(verdict: RawVerdict) -> Iterator[str]:
    yield f"Evidence  platform {verdict.platform}, identity vouched for by {verdict.identity_root}"
    for name, value in verdict.identity.items():
        yield f"  {name:<20}  {value or '-'}"
    yield "Not judged"
    for sentence in verdict.not_judged:
        yield f"  {sentence}"
    yield _decision(verdict, _GENUINE)


def _decision(verdict: Verdict | RawVerdict, good: str) -> str:
    passed = sum(check.outcome is CheckOutcome.PASSED for check in verdict.checks)
    counted = f"{passed} checks passed, {len(verdict.failures)} failed, at {local_time(verdict.at)}"
    if verdict.failures:
        return f"Verdict   REJECTED: {counted}: {failed_names(verdict.failures)}"
    return f"Verdict   {good}: {counted}"
