"""A verdict as sentences for people."""

from collections.abc import Iterator, Sequence

from cloister.attestation.collateral_source import CACHE, CALLER, EVIDENCE, FILE, NETWORK, PACKAGE
from cloister.attestation.raw.kinds import Judged
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.result.verdict import Check, CheckOutcome, Verdict, failed_names
from cloister.attestation.x509.roots import NO_ROOT
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, Sentences, TextTable
from cloister.protocol import text
from cloister.units import format_size, local_time

_MARKS = {CheckOutcome.PASSED: "passed", CheckOutcome.FAILED: "FAILED", CheckOutcome.NOT_APPLICABLE: "-"}
_COPIES = {
    EVIDENCE: "from the evidence",
    PACKAGE: "from the package",
    FILE: "from your file",
    CACHE: "from the cache:",
    NETWORK: "from",
    CALLER: "from your program",
}
_ROLLBACK = "an older state is noticed, but not of what an algorithm writes there under limits.scratch"
_GENUINE = "GENUINE, but this accepts no machine"
_SIGNED = "SIGNED by the key that you named, which shows no machine"


def verdict_lines(verdict: Verdict | RawVerdict) -> Iterator[str]:
    """Every check with expected and found, collateral, likely causes, the claims, and the verdict in the last line.

    Each is one printable line: certificates and firmware have names that anyone may have chosen.
    """
    yield from map(text.printable, _lines(verdict))


def _lines(verdict: Verdict | RawVerdict) -> Iterator[str]:
    yield from _checks(verdict.checks)
    yield from (f"Used      {said}" for said in _used(verdict))
    yield from (f"Skipped   {said}" for said in _skipped(verdict))
    yield from (f"Cause     {cause.sentence()}" for cause in verdict.causes)
    yield from verdict_summary(verdict) if isinstance(verdict, Verdict) else _raw_summary(verdict)


def _used(verdict: Verdict | RawVerdict) -> Iterator[str]:
    for one in verdict.used:
        until = f", until {local_time(one.until)}" if one.until is not None else ""
        yield text.printable(f"{one.name}, {_COPIES[one.source]}{f' {one.place}' if one.place else ''}{until}")


def _skipped(verdict: Verdict | RawVerdict) -> Iterator[str]:
    for one in verdict.skipped:
        source = f"from {one.place or 'your files or a vendor'}" if one.brought else "from the evidence"
        yield text.printable(f"{one.kind} {source}, SHA-256 {one.digest.hex()}: {one.reason}")


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
    yield from (f"{name:<10}{said}" for name, said in _facts(verdict))
    yield f"Verdict   {_decision(verdict)}"


def check_table(verdict: Verdict | RawVerdict) -> TextTable:
    """Every check with expected and found, as a table."""
    columns = (("Outcome", "outcome"), ("Check", "value"), ("Expected", "value"), ("Found", "value"))
    rows = [
        (
            check.outcome.value,
            f"{check.info.subject} ({check.name})" if check.info else check.name,
            check.expected or check.reason,
            check.found,
        )
        for check in verdict.checks
    ]
    return TextTable.of(columns, rows)


def show_verdict(verdict: Verdict | RawVerdict, problems: Sequence[str] = ()) -> str:
    """A verdict in a notebook: decision, claims and checks; and the requests to vendors that failed."""
    judged = isinstance(verdict, Verdict)
    facts = Facts.of(_facts(verdict) if judged else _raw_facts(verdict))
    causes = [text.printable(cause.sentence()) for cause in verdict.causes]
    more = [*causes, *problems, *_skipped(verdict), *(() if judged else verdict.not_judged)]
    notes = [Sentences(tuple(more), warning=True)] if more else []
    if verdict.used:
        notes.append(Sentences(tuple(f"Collateral: {said}." for said in _used(verdict))))
    return fragment(_decision(verdict), facts, check_table(verdict), *notes, accepted=not verdict.failures)


def _facts(verdict: Verdict) -> Iterator[tuple[str, str]]:
    claims = verdict.claims
    configuration = claims.boot_configuration
    yield "Machine", f"{configuration.cvm} of the workspace {configuration.workspace}, platform {verdict.platform}"
    if claims.image is not None:
        flavor, digest = claims.image
        yield "Image", f"{flavor}, manifest {digest.hex()}"
    if configuration.scratch:
        size = format_size(configuration.scratch)
        yield "Scratch", f"{size} of the host's disk, encrypted; {_ROLLBACK}"
    yield "Manifest", claims.manifest_digest.hex() if claims.manifest_digest else "none submitted yet"
    if verdict.accepted and not verdict.confidential:
        yield "Note", "not confidential: the host can read everything in this machine"
    if verdict.recording:
        yield "Note", "appraised as a recording: not for a session or receipt of yours"


def _raw_facts(verdict: RawVerdict) -> Iterator[tuple[str, str]]:
    yield "Evidence", f"platform {verdict.platform}, identity vouched for by {_root(verdict)}"
    yield from (("Judged", _judged(one)) for one in verdict.judged)
    yield from ((name, value or "-") for name, value in verdict.identity.items())


def _raw_summary(verdict: RawVerdict) -> Iterator[str]:
    yield f"Evidence  platform {verdict.platform}, identity vouched for by {_root(verdict)}"
    for name, value in verdict.identity.items():
        yield f"  {name:<20}  {value or '-'}"
    yield from (f"Event     {text.printable(event)}" for event in verdict.events)
    yield from (f"Judged    {_judged(one)}" for one in verdict.judged)
    yield "Not judged"
    for sentence in verdict.not_judged:
        yield f"  {sentence}"
    yield f"Verdict   {_decision(verdict)}"


def _root(verdict: RawVerdict) -> str:
    return "no one" if verdict.identity_root == NO_ROOT else verdict.identity_root


def _judged(one: Judged) -> str:
    return f"{one.what}, {one.size} bytes, SHA-256 {one.digest.hex()}"


def _decision(verdict: Verdict | RawVerdict) -> str:
    good = "ACCEPTED" if isinstance(verdict, Verdict) and not verdict.recording else _GENUINE
    passed = sum(check.outcome is CheckOutcome.PASSED for check in verdict.checks)
    counted = f"{passed} checks passed, {len(verdict.failures)} failed, at {local_time(verdict.at)}"
    if verdict.failures:
        return f"REJECTED: {counted}: {failed_names(verdict.failures)}"
    if isinstance(verdict, RawVerdict) and not verdict.genuine:
        return f"{_SIGNED}: {counted}"
    return f"{good}: {counted}"
