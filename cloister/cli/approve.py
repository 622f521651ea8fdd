"""The verb ``approve``."""

from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    interrupted="Nothing was decided.",
    options=[*PARTY, MANIFEST, JSON],
    help={
        "result": "the result that you fetched and read: refuse if another one waits",
        "look": "only show what the result has, and decide nothing",
        "yes": "approve without asking",
    },
    example="approve --manifest computation.json --look",
)
def approve(settings: Settings, result: str | None = None, look: bool = False, yes: bool = False) -> None:
    """Approve a result that waits for you: the last approval releases it."""
    with settings.connect(settings.manifest()) as machine:
        preview = machine.preview(read=result)
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
        machine.approve(preview)
        show.note(f"Approved: the result with the receipt {preview.receipt.hex()}.")
