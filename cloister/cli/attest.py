"""The verb ``attest``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON, TARGET, VENDORS
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    options=[*TARGET, *VENDORS, JSON],
    help={
        "manifest": "also demand that the machine runs this manifest, as `manifest` writes it",
        "save": "write the evidence to this file, for `audit` and `verify-evidence`",
    },
    example="attest --policy policy.json --workspace workspace.json",
)
def attest(settings: Settings, manifest: str | None = None, save: str | None = None) -> None:
    """Check a running machine against your policy, and print every check with expected and found."""
    policy = settings.policy()
    demanded = client.load_manifest(Path(manifest)) if manifest else None
    found = settings.located().attest(demanded)
    for problem in found.problems:
        show.note(problem)
    if save:
        found.save(save)
    if settings.json:
        show.facts(found.verdict.value())
    else:
        for line in client.verdict_lines(found.verdict):
            print(line)
    if demanded and (said := client.rollback(demanded)):
        show.note(f"Note: {said}")
    if left := client.open_members(policy):
        members = ", ".join(one.member for one in left)
        show.note(f"Your policy rejects every machine until you fill in {members}.")
    found.require_accepted()
