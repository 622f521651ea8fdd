"""Prints events as a verb shows them, line by line or as JSON."""

import contextlib
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.errors import CloisterError

if TYPE_CHECKING:
    from cloister.protocol.events import Record


@contextlib.contextmanager
def event_printer(
    names: Mapping[str, str], *, follow: bool = True, json: bool = False
) -> Generator[Callable[["Record"], None], None, None]:
    """Yields a function that prints one event; ``names`` maps key ids to names.

    With ``follow``, a terminal shows that the next event is awaited, and CloisterError is raised at the end if the
    computation failed.
    """
    first: Record | None = None
    last: Record | None = None

    def print_event(record: "Record") -> None:
        nonlocal first, last
        first, last = first or record, record
        if json:
            print(record.encode().decode(), flush=True)
        else:
            print(client.describe_event(record.event, first.event.uptime, names).text(), flush=True)

    with show.waiting("waiting for the next event") if follow and not json else contextlib.nullcontext():
        yield print_event
    if follow and last is not None and last.event.state is client.State.FAILED:
        raise CloisterError("The computation failed.", hint="`logs` shows log readers what the algorithm printed.")
