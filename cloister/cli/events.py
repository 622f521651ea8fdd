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
    from cloister.protocol.progress import Phase


@party_verb(
    interrupted="The machine continues.",
    options=[
        *PARTY,
        MANIFEST.described("your copy of the manifest, to show names instead of key ids (default: $CLOISTER_MANIFEST)"),
        JSON.described("print the signed events unchanged, one per line"),
    ],
    help={
        "follow": "wait for further events until the computation ends",
        "until": "with --follow: end at this state, such as Running or Completed",
        "save": "write the log to this file, and evidence beside it, for `audit`",
    },
)
def events(settings: Settings, follow: bool = False, until: str | None = None, save: str | None = None) -> None:
    """Show the signed timeline: who did what, and when."""
    ends = _phases(until) if until else frozenset()
    names = settings.names(settings.manifest() if settings.path("manifest") else None)
    with settings.connection() as connection:
        records: list[Record] = []
        now = client.fetch_status(connection).progress if follow else None
        try:
            with event_printer(names, now, follow=follow, json=settings.json) as print_event:
                for record in client.follow_events(connection, follow=follow, until=ends):
                    records.append(record)
                    print_event(record)
        finally:
            # Also after Ctrl-C: the beginning of a log can be audited, too.
            if save and records:
                evidence = client.save_events(connection, Path(save), records)
                show.note(f"Written: {save} and {evidence}")


def _phases(text: str) -> "frozenset[Phase]":
    """The phase that a user names, in upper or lower case."""
    known = {phase.lower(): phase for phase in client.Phase}
    if (phase := known.get(text.strip().lower())) is None:
        names = ", ".join(client.Phase)
        raise InputError(f"--until must be a state, one of {names}; not {text!r}.", hint="Put it in quotes.")
    return frozenset({phase})
