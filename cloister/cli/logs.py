"""The verb ``logs``."""

import codecs
import sys
from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import PARTY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import text


@party_verb(
    interrupted="The machine continues.",
    options=PARTY,
    help={
        "follow": "wait until the run is over; the output comes while the algorithm runs if the manifest says "
        "`release: live`",
        "output": "write to this file instead of the terminal",
    },
)
def logs(settings: Settings, follow: bool = False, output: str | None = None) -> None:
    """Show what the algorithm printed, as far as the manifest lets you read it."""
    printed: list[bytes] = []
    with settings.connection() as connection:
        try:
            truncated = client.read_logs(connection, printed.append if output else _Printer(), follow=follow)
        finally:
            # Also after Ctrl-C: what has arrived is kept.
            if output and (printed or sys.exc_info()[0] is None):
                show.write_file(Path(output), b"".join(printed))
                show.note(f"Written: {output}")
    if truncated:
        show.note("The output is truncated at the manifest's limit.")


class _Printer:
    """Prints output as it comes. A character may arrive in two pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, printed: bytes) -> None:
        # An algorithm is not trusted with the reader's terminal: control characters are replaced.
        sys.stdout.write(text.printable(self._decoder.decode(printed), keep="\n\t"))
        sys.stdout.flush()
