"""The verb ``events``."""

from cloister.cli.shell import show
from cloister.cli.shell.event_printer import event_printer
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    interrupted="The machine continues.",
    options=[
        *PARTY,
        MANIFEST.described("your copy of the manifest, to show names instead of key ids (default: $CLOISTER_MANIFEST)"),
        JSON.described("print the signed events unchanged, one per line"),
    ],
    help={
        "follow": "wait for further events until the computation ends",
        "until": "wait as with --follow, and end at this state, such as Running or Completed",
        "save": "write the log to this file, and evidence beside it, for `audit`",
    },
    example="events --save events.jsonl",
)
def events(settings: Settings, follow: bool = False, until: str | None = None, save: str | None = None) -> None:
    """Show the signed timeline: who did what, and when."""
    follow = follow or until is not None
    names = settings.names(settings.manifest() if settings.path("manifest") else None)
    with settings.connect() as machine:
        log = machine.events(follow=follow, until=until or ())
        now = machine.status().progress if follow else None
        try:
            with event_printer(names, now, follow=follow, json=settings.json) as print_event:
                for record in log.signed():
                    print_event(record)
        finally:
            # Also after Ctrl-C: the beginning of a log can be audited, too.
            if save and log:
                evidence = log.save(save)
                show.note(f"Written: {save} and {evidence}")
