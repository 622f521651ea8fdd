"""The verb ``policy``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.arguments import named_paths
from cloister.cli.shell.options import COLLATERAL, CVM, FETCH, JSON, WORKSPACE
from cloister.cli.shell.policy_report import PolicyReport
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError
from cloister.units import parse_time

if TYPE_CHECKING:
    from cloister.client.evidence.first_policy import FirstPolicy
    from cloister.client.evidence.statement_demands import StatementDemands

_DIGITS = 9


@party_verb(
    several="files",
    repeated=["builder"],
    options=[
        WORKSPACE.described("workspace descriptor from the platform team (default: $CLOISTER_WORKSPACE)"),
        CVM.described("accept only this CVM of the workspace (default: all)"),
        COLLATERAL,
        FETCH,
        JSON,
    ],
    help={
        "image": "manifest of the image that you trust: rebuilt by you, or signed by a party that you chose (required, "
        "except for a bare report or quote)",
        "signed": "if the machine starts the image with Secure Boot: the statement of its publisher (signed.json)",
        "builder": "NAME=FILE: a builder and its public key; the policy demands its statement about the image; may be "
        "repeated",
        "builders-required": "how many of the builders must have made the image (default: all of them)",
        "publisher": "NAME=FILE: the publisher with its public key, who must list the image as current",
        "maximum-age": "days: how old the Debian index of the image's lock may be, by the publisher (default: any age)",
        "from-evidence": "start from what a machine showed instead of a descriptor: a file of `attest --save`, or a "
        "SEV-SNP report, TDX quote or HCL report",
        "at": "with --from-evidence: a day or time as of which it must be genuine (default: now)",
        "files": "with --from-evidence: the other files of that evidence, such as certificates",
        "allow-local": "accept local machines, which keep nothing secret from their host: for trials",
        "allow-debug": "accept a debug image, which has a shell: for trials",
        "output": "file of the policy (default: policy.json); never overwritten",
        "yes": "do not ask: you have confirmed every value",
    },
    example="policy --image image.json --workspace workspace.json",
)
def policy(
    settings: Settings,
    files: Sequence[str] = (),
    image: str | None = None,
    signed: str | None = None,
    builder: Sequence[str] | None = None,
    builders_required: str | None = None,
    publisher: str | None = None,
    maximum_age: str | None = None,
    from_evidence: str | None = None,
    at: str | None = None,
    allow_local: bool = False,
    allow_debug: bool = False,
    output: str = "policy.json",
    yes: bool = False,
) -> None:
    """Start your own policy: what you demand of a machine or of evidence, value by value, and who can confirm each."""
    evidence = [Path(name) for name in (from_evidence, *files) if name]
    if evidence and not from_evidence:
        raise InputError(f"policy does not know the word {files[0]!r}.", hint="Name evidence with --from-evidence.")
    if at is not None and not evidence:
        raise InputError("--at is the time of evidence.", hint="Name the evidence with --from-evidence, or omit --at.")
    moment = parse_time(at, "--at") if at is not None else None
    descriptor = None if evidence else settings.path("workspace")
    if not evidence and image is None:
        raise InputError(
            "policy needs --image.",
            hint="Name the manifest of your image. For a bare report or quote: `policy --from-evidence FILE`.",
        )
    if descriptor is None and not evidence:
        raise InputError("policy needs --workspace.", hint="Ask the platform team for the workspace descriptor.")
    if evidence and (settings.typed("workspace") or settings.typed("cvm") or allow_local or allow_debug):
        raise InputError(
            "--from-evidence cannot be combined with --workspace, --cvm, --allow-local or --allow-debug.",
            hint="Omit one or the other.",
        )
    demands = _demands(builder or (), builders_required, publisher, maximum_age)
    path = Path(output)
    report = PolicyReport(settings, path, image or "", signed or "", demands)

    def start() -> "FirstPolicy":
        if descriptor is None:
            return client.policy_from_evidence(
                image, evidence, at=moment, collateral=settings.collateral(), signed=signed, statements=demands
            )
        return client.start_policy(
            Path(image or ""),
            descriptor,
            cvm=settings.typed("cvm"),
            allow_local=allow_local,
            allow_debug=allow_debug,
            signed=signed,
            statements=demands,
        )

    def confirm(started: "FirstPolicy") -> bool:
        report.next_steps(started)  # raises now, and not once the policy is written
        report.values(started)
        return yes or show.confirmed(f"Have you confirmed all {len(started.taken_over)} values? Write {path}?")

    report.written(client.write_first_policy(path, start, confirm))


def _demands(
    builders: Sequence[str], required: str | None, publisher: str | None, maximum_age: str | None
) -> "StatementDemands | None":
    """The demands as they were typed; None if nothing was."""
    if not builders and required is None and publisher is None and maximum_age is None:
        return None
    published = named_paths("publisher", [publisher]) if publisher is not None else {}
    return client.StatementDemands(
        builders=named_paths("builder", builders),
        required=_number("builders-required", required),
        publisher=next(iter(published.items()), None),
        maximum_age_days=_number("maximum-age", maximum_age),
    )


def _number(option: str, typed: str | None) -> int | None:
    """The number of an option whose absence is not a number."""
    if typed is None:
        return None
    if re.fullmatch(r"-?[0-9]+", typed) is None:
        raise InputError(f"--{option} must be an integer, not {typed!r}.")
    if len(typed) > _DIGITS:
        raise InputError(f"--{option} must be an integer of at most {_DIGITS} digits, not one of {len(typed)}.")
    return int(typed)
