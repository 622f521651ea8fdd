"""The verb ``attest``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import EXPLAINS, FIRMWARE, IMAGE, JSON, KEY, TARGET, VENDORS
from cloister.cli.shell.settings import Settings, party_verb
from cloister.cli.shell.verdict_output import FORMAT_HELP, chosen_format, print_verdict


@party_verb(
    options=[
        *TARGET,
        *VENDORS,
        IMAGE.described(EXPLAINS),
        FIRMWARE,
        JSON,
        KEY.described("file of the key that signs an EAR (default: $CLOISTER_KEY)"),
    ],
    help={
        "manifest": "also demand that the machine runs this manifest, as `manifest` writes it",
        "format": FORMAT_HELP,
        "nonce": "the 32 bytes that the evidence must be made over, in hex, such as from the reader of an EAR",
        "save": "write the evidence to this file, for `audit` and `verify-evidence`",
    },
    example="attest --policy policy.json --workspace workspace.json",
)
def attest(
    settings: Settings,
    manifest: str | None = None,
    save: str | None = None,
    format: str | None = None,
    nonce: str | None = None,
) -> None:
    """Check a running machine against your policy, and print every check with expected and found."""
    form = chosen_format(settings, format)
    chosen = client.parse_nonce(nonce) if nonce is not None else None
    policy = settings.policy()
    demanded = client.load_manifest(Path(manifest)) if manifest else None
    explanation = client.Explanation.load(settings.typed("image"), settings.typed("firmware"))
    found = settings.located().attest(demanded, nonce=chosen).explained(explanation)
    for problem in found.problems:
        show.note(problem)
    if save:
        found.save(save)
    print_verdict(settings, found, form)
    if demanded and (said := client.rollback(demanded)):
        show.note(f"Note: {said}")
    if left := client.open_members(policy):
        members = ", ".join(one.member for one in left)
        show.note(f"Your policy rejects every machine until you fill in {members}.")
    found.require_accepted()
