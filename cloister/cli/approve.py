"""The verb ``approve``."""

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    interrupted="Nothing was decided.",
    options=[*PARTY, MANIFEST, JSON],
    help={
        "look": "only show what the result has, and decide nothing",
        "yes": "approve without asking",
    },
)
def approve(settings: Settings, look: bool = False, yes: bool = False) -> None:
    """Approve a result that waits for you: the last approval releases it."""
    manifest = settings.manifest()
    with settings.connection(manifest) as connection:
        preview = client.preview_result(connection, manifest)
        if settings.json:
            show.facts(preview.value())
        else:
            for line in preview.lines():
                print(line)
        if look:
            return
        if not (yes or show.confirmed("Approve this result?")):
            show.note(f"Nothing was decided. `{program()} reject` refuses the result to everyone.")
            return
        client.approve_result(connection, manifest, preview)
        show.note(f"Approved: the result with the receipt {preview.receipt.hex()}.")
