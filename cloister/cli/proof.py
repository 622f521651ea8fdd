"""The verbs that prove afterwards, without a machine, and without a network unless vendors are to be asked."""

from pathlib import Path

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import verb
from cloister.errors import ProofError


@verb(
    positional=["log"],
    help={
        "log": "an event log as `events --save` writes it",
        "evidence": "evidence of the machine (default: LOG.evidence.json)",
        "policy": settings.POLICY_HELP,
        **settings.VENDORS,
        "json": settings.JSON_HELP,
    },
)
def audit(
    c: Context,
    log: str,
    evidence: str | None = None,
    policy: str | None = None,
    collateral: str | None = None,
    fetch: bool = False,
    json: bool = False,
) -> None:
    """What a saved event log proves, and what it does not."""
    from cloister.client.evidence import policy as policies
    from cloister.client.result import audit as audits

    path = Path(log)
    beside = Path(evidence) if evidence else audits.evidence_path(path)
    shown = audits.load_evidence(beside) if evidence or beside.exists() else None
    mine = settings.setting(c, "policy", policy)
    vendors = settings.vendors(c, collateral, fetch)
    found = audits.audit(path, shown, policies.load(mine) if mine else None, vendors=vendors)
    if json:
        show.facts(found.value())
    else:
        for statement in found.statements:
            print(f"  {statement.outcome.value:<11}  {statement.text}: {statement.detail}")
        print(audits.BEYOND)
    if not found.accepted:
        raise ProofError(f"{path} is not proven.", hint="Every statement must be proven: see those that are not.")
    if not json:
        print(f"Proven: {path}, {len(found.events)} events")


@verb(
    positional=["file"],
    help={
        "file": "a result as `result` writes it",
        "policy": settings.POLICY_HELP,
        **settings.VENDORS,
        "json": settings.JSON_HELP,
    },
)
def verify_result(
    c: Context,
    file: str,
    policy: str | None = None,
    collateral: str | None = None,
    fetch: bool = False,
    json: bool = False,
) -> None:
    """Where a result comes from: which image, manifest, data and algorithm made it."""
    from cloister.client.result import proof

    found = proof.prove(Path(file), settings.policy(c, policy), vendors=settings.vendors(c, collateral, fetch))
    if json:
        show.facts(found.value())
    else:
        for statement in found.statements:
            print(f"  {statement.outcome.value:<11}  {statement.text}: {statement.detail}")
        if found.then and found.today:
            today = proof.why_not_today(found)
            print(f"As of then   {'accepted' if found.then.accepted else 'REJECTED'} by your policy")
            print(f"As of today  {'REJECTED by your policy: ' + today if today else 'accepted by your policy'}")
            if found.then.accepted and not found.then.confidential:
                print("Note         the machine was not confidential: whoever ran it could look into it")
    found.require_accepted()
    if not json:
        print(f"Proven: {file}")
