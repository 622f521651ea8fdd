"""The verb ``verify-evidence``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError


@party_verb(
    several="files",
    options=[POLICY, *VENDORS, JSON],
    help={
        "files": "evidence of `attest --save`, a SEV-SNP report, a TDX quote, or an HCL report with a quote; and the "
        "files that belong to it, such as certificates",
        "at": "appraise as of this time, such as 2026-01-31T12:00:00Z (default: now)",
        "report-data": "the bytes that the evidence must be bound to, in hex",
    },
    example="verify-evidence evidence.json --policy policy.json",
)
def verify_evidence(
    settings: Settings, files: list[str], at: str | None = None, report_data: str | None = None
) -> None:
    """Appraise recorded evidence offline: what `attest` saved, or a bare SEV-SNP report, TDX quote or HCL report."""
    from cloister.protocol import canonical

    moment = canonical.from_time(at, what="--at") if at is not None else None
    try:
        expected = bytes.fromhex(report_data) if report_data is not None else None
    except ValueError as error:
        raise InputError(f"--report-data must be hexadecimal, not {report_data!r}.") from error
    found = client.verify_evidence(
        [Path(file) for file in files],
        settings.any_policy(),
        at=moment,
        report_data=expected,
        collateral=settings.collateral(),
    )
    for problem in found.problems:
        show.note(problem)
    if settings.json:
        show.facts(found.verdict.value())
    else:
        for line in client.verdict_lines(found.verdict):
            print(line)
    found.require_passed()
