"""The verb ``logs``."""

import sys
from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import PARTY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import text


@party_verb(options=PARTY, help={"output": "write to this file instead of the terminal"})
def logs(settings: Settings, output: str | None = None) -> None:
    """Show what the algorithm printed, as far as the manifest lets you read it."""
    with settings.connection() as connection:
        printed = client.read_logs(connection)
    if output:
        show.write_file(Path(output), printed.content)
        show.note(f"Written: {output}")
    else:
        # An algorithm is not trusted with the reader's terminal: control characters are replaced.
        sys.stdout.write(text.printable(printed.content.decode("utf-8", "replace"), keep="\n\t"))
    if printed.truncated:
        show.note("The output is truncated at the manifest's limit.")
