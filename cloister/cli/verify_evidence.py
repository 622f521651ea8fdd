"""The verb ``verify-evidence``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import EXPLAINS, FIRMWARE, IMAGE, JSON, KEY, POLICY, VENDORS
from cloister.cli.shell.settings import Settings, party_verb
from cloister.cli.shell.verdict_output import FORMAT_HELP, chosen_format, print_verdict
from cloister.units import parse_time


@party_verb(
    several="files",
    options=[
        POLICY,
        *VENDORS,
        IMAGE.described(EXPLAINS),
        FIRMWARE,
        JSON,
        KEY.described("file of the key that signs an EAR (default: $CLOISTER_KEY)"),
    ],
    help={
        "files": "evidence of `attest --save`, a SEV-SNP report, a TDX quote, an HCL report, a quote of a TPM or a "
        "log, as bytes, hex, base64 or as another tool wrote it (docs/evidence-files.md); and the files that "
        "belong to it, such as certificates",
        "format": FORMAT_HELP,
        "at": "appraise as of this time, such as 2026-01-31T12:00:00Z or 2026-01-31 12:00+02:00, or as of the end of a "
        "day in UTC, such as 2026-01-31 (default: now)",
        "report-data": "the bytes that the evidence must be bound to, in hex, with or without 0x; zero for 64 zero "
        "bytes",
    },
    example="verify-evidence evidence.json --policy policy.json",
)
def verify_evidence(
    settings: Settings,
    files: list[str],
    at: str | None = None,
    report_data: str | None = None,
    format: str | None = None,
) -> None:
    """Appraise recorded evidence offline: what `attest` saved, or a bare report, quote or log."""
    form = chosen_format(settings, format)
    moment = parse_time(at, "--at") if at is not None else None
    expected = client.parse_report_data(report_data) if report_data is not None else None
    paths = [Path(file) for file in files]
    if settings.path("policy") is None:  # a policy would not help with a file of another kind
        client.require_evidence(paths)
    found = client.verify_evidence(
        paths,
        settings.any_policy(),
        at=moment,
        report_data=expected,
        collateral=settings.collateral(),
        explanation=client.Explanation.load(settings.typed("image"), settings.typed("firmware")),
    )
    for problem in found.problems:
        show.note(problem)
    print_verdict(settings, found, form)
    found.require_passed()
