"""The verb that judges evidence that lies in files."""

import datetime
from pathlib import Path

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import verb
from cloister.errors import InputError, ProofError


@verb(
    several="files",
    help={
        "files": "a bundle of `attest --save`, a SEV-SNP report, a TDX quote, or an HCL report with a quote; and what "
        "belongs to it, such as certificates",
        "policy": settings.POLICY_HELP,
        "collateral": "folder with certificates, revocation lists, TCB info, identities and endorsements "
        "(default: $CLOISTER_COLLATERAL)",
        "fetch": settings.VENDORS["fetch"],
        "at": "judge as of this time, like 2026-01-31T12:00:00Z (default: now)",
        "report-data": "what the evidence must have been made over, in hex",
        "json": settings.JSON_HELP,
    },
)
def verify_evidence(
    c: Context,
    files: list[str],
    policy: str | None = None,
    collateral: str | None = None,
    fetch: bool = False,
    at: str | None = None,
    report_data: str | None = None,
    json: bool = False,
) -> None:
    """Judge recorded evidence, offline: bundles, and reports and quotes as hardware and clouds give them out."""
    from cloister.attestation.result import failed_names
    from cloister.client.evidence import examination, verdict
    from cloister.protocol import canonical

    moment = canonical.from_time(at, what="--at") if at is not None else datetime.datetime.now(datetime.UTC)
    try:
        bound = bytes.fromhex(report_data) if report_data is not None else None
    except ValueError as error:
        raise InputError(f"--report-data is {report_data!r}, which is not hex.") from error
    found = examination.examine(
        [Path(file) for file in files],
        settings.policy(c, policy),
        at=moment,
        report_data=bound,
        collateral=settings.setting(c, "collateral", collateral),
        network=settings.network(c, fetch),
    )
    for problem in found.problems:
        show.note(problem)
    if json:
        show.facts(found.verdict.value())
    else:
        for line in verdict.lines(found.verdict):
            print(line)
    if not found.passed:
        raise ProofError(
            f"The evidence is not genuine, or not what your policy asks for: {failed_names(found.verdict.failures)}.",
            hint="Each check above that FAILED says why. What a vendor states and did not come is given with "
            "--collateral DIR, or asked for with --fetch.",
        )
