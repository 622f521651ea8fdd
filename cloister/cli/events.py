"""The verb ``events``."""

from pathlib import Path
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.event_printer import event_printer
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.protocol.events import Record


@party_verb(
    interrupted="The machine continues.",
    options=[
        *PARTY,
        MANIFEST.described("your copy of the manifest, to show names instead of key ids (default: $CLOISTER_MANIFEST)"),
        JSON.described("print the signed events as they are, one per line"),
    ],
    help={
        "follow": "wait for further events until the computation ends",
        "until": "with --follow: end at this state, for example Running, ConsumingResults or Complete",
        "save": "write the log to this file, and evidence beside it, for `audit`",
    },
)
def events(settings: Settings, follow: bool = False, until: str | None = None, save: str | None = None) -> None:
    """Show the signed timeline: who did what, and when."""
    ends = client.FINAL_STATES
    if until:
        try:
            ends = frozenset({client.State(until)})
        except ValueError as error:
            raise InputError(f"--until must be one of {', '.join(client.State)}, not {until!r}.") from error
    names = settings.names(settings.manifest() if settings.path("manifest") else None)
    with settings.connection() as connection:
        records: list[Record] = []
        try:
            with event_printer(names, follow=follow, json=settings.json) as print_event:
                for record in client.follow_events(connection, follow=follow, until=ends):
                    records.append(record)
                    print_event(record)
        finally:
            # Also after Ctrl-C: the beginning of a log can be audited, too.
            if save and records:
                evidence = client.save_events(connection, Path(save), records)
                show.note(f"Written: {save} and {evidence}")
