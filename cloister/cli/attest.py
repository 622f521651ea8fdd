"""The verb that lets a party judge a machine."""

from pathlib import Path

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import verb


@verb(
    help={
        **settings.WHERE,
        "manifest": "also demand that the machine runs this manifest",
        "save": "write the evidence to a file, for `audit`",
        **settings.VENDORS,
        "json": settings.JSON_HELP,
    }
)
def attest(
    c: Context,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    manifest: str | None = None,
    save: str | None = None,
    collateral: str | None = None,
    fetch: bool = False,
    json: bool = False,
) -> None:
    """Check a running machine against your policy: every check with what is expected and what was found."""
    from cloister.attestation.first_policy.placeholders import placeholders
    from cloister.client.computation import manifest as manifests
    from cloister.client.connection import connection
    from cloister.client.evidence import verdict

    demanded = settings.policy(c, policy)
    digest = manifests.load(Path(manifest)).digest() if manifest else None
    target = settings.target(
        c,
        cvm=cvm,
        workspace=workspace,
        policy=demanded,
        manifest_digest=digest,
        collateral=collateral,
        fetch=fetch,
    )
    with connection.attest(target) as opening:
        for problem in opening.problems:
            show.note(problem)
        if save:
            show.write_file(Path(save), opening.evidence.encode_json())
        if json:
            show.facts(opening.verdict.value())
        else:
            for line in verdict.lines(opening.verdict):
                print(line)
        if left := placeholders(demanded):
            members = ", ".join(one.member for one in left)
            show.note(f"Your policy leaves open {members}: machines are refused by that until it is filled in.")
        opening.verdict.require_accepted()
