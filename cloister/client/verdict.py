"""A verdict as people read it."""

from collections.abc import Iterator

from cloister.attestation.verdict import Outcome, Verdict
from cloister.client.timeline import local_time

_MARKS = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED", Outcome.NOT_APPLICABLE: "-"}


def lines(verdict: Verdict) -> Iterator[str]:
    """Every check with expected and found, then the claims that count, then the verdict in one line."""
    width = max(len(check.name) for check in verdict.checks)
    for check in verdict.checks:
        if check.outcome is Outcome.PASSED:
            said = check.found
        elif check.outcome is Outcome.FAILED:
            said = f"expected {check.expected}, found {check.found}"
        else:
            said = f"not judged: {check.reason}" + (f" (found {check.found})" if check.found else "")
        yield f"  {_MARKS[check.outcome]:<6}  {check.name:<{width}}  {said}"
    yield from summary(verdict)


def summary(verdict: Verdict) -> Iterator[str]:
    """What the verdict says in all."""
    claims = verdict.claims
    configuration = claims.boot_configuration
    yield f"Machine   {configuration.cvm} of the workspace {configuration.workspace}, platform {verdict.platform}"
    if claims.image is not None:
        flavor, digest = claims.image
        yield f"Image     {flavor}, manifest {digest.hex()}"
    yield f"Manifest  {claims.manifest_digest.hex() if claims.manifest_digest else 'none submitted yet'}"
    if not verdict.confidential:
        yield "Note      not confidential: whoever runs this machine can look into it"
    passed = sum(check.outcome is Outcome.PASSED for check in verdict.checks)
    decision = "ACCEPTED" if verdict.accepted else "REJECTED"
    yield f"Verdict   {decision}: {passed} checks passed, {len(verdict.failures)} failed, at {local_time(verdict.at)}"
