"""The verb ``watch``."""

import datetime
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, MANIFEST, PARTY, Option
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import canonical
from cloister.units import local_time

if TYPE_CHECKING:
    from cloister.client.watch.news import News

_EXEC = Option(
    "exec", "program that is told each piece of news, as JSON on its standard input; with words, without a shell"
)


@party_verb(
    interrupted="The machine continues; the same command goes on watching.",
    options=[
        *PARTY,
        MANIFEST.described(f"{MANIFEST.help}: what is watched"),
        _EXEC,
        JSON.described("print JSON, one line for each piece of news"),
    ],
    example="watch --manifest computation.json --exec ./tell-me",
)
def watch(settings: Settings) -> None:
    """Tell when it is your turn, when a result is ready for you, and when a computation ended without one.

    It begins before the manifest is submitted, goes on after lost connections, and ends with the computation.
    """
    from cloister.cli.shell.reports import WatchPrinter

    manifest, said = settings.manifest(), settings.typed("exec")
    command = client.parse_command(said) if said else ()
    with settings.connect(manifest) as machine:
        for news in client.watch_computation(machine.connection, manifest, command=command, report=WatchPrinter()):
            if settings.json:
                show.line(news.value())
                continue
            print(f"{_time(news)}  {news.kind.value:<12}  {news.text}", flush=True)
            for verb in news.verbs:
                print(f"{'':<33}  {program()} {verb}", flush=True)


def _time(news: "News") -> str:
    """The event's time as the host reports it; of a restart, when it was noticed."""
    if news.record is None:
        return local_time(datetime.datetime.now(datetime.UTC))
    return local_time(canonical.from_time(news.record.event.time, what="An event's time"))
