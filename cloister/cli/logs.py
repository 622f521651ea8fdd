"""The verb ``logs``."""

import sys
from pathlib import Path

from cloister import client, userfile
from cloister.cli.shell import show
from cloister.cli.shell.options import PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    interrupted="The machine continues.",
    options=PARTY,
    help={
        "follow": "wait until the run is over; the output comes while the algorithm runs if the manifest says "
        "`release: live`",
        "output": "write to this file instead of the terminal",
    },
    example="logs --follow",
)
def logs(settings: Settings, follow: bool = False, output: str | None = None) -> None:
    """Show what the algorithm printed, as far as the manifest lets you read it."""
    printed: list[bytes] = []
    tail = client.OutputEnd()
    show_piece = printed.append if output else show.ProgramOutput()

    def take(piece: bytes) -> None:
        show_piece(piece)
        tail.add(piece)

    with settings.connect() as machine:
        try:
            truncated = machine.read_logs(take, follow=follow)
        finally:
            # Also after Ctrl-C: what has arrived is kept.
            if output and (printed or sys.exc_info()[0] is None):
                userfile.write_file(Path(output), b"".join(printed))
                show.note(f"Written: {output}")
    if truncated:
        show.note("The output is truncated at the manifest's limit.")
    if tail.is_error():
        for said in tail.advice():
            show.note(f"The output ends with an error. {said}")
