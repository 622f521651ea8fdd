"""Prints events as a verb shows them, line by line or as JSON."""

import contextlib
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cloister import client
from cloister.cli.shell import show
from cloister.errors import CloisterError

if TYPE_CHECKING:
    from cloister.protocol.events import Record
    from cloister.protocol.progress import ComputationProgress


_REFUSED = {
    "withdrawn": "a provider withdrew its consent",
    "result-rejected": "the result was not approved",
}
"""Events with which a party ended the computation, and what they mean for the others."""


@contextlib.contextmanager
def event_printer(
    names: Mapping[str, str], now: "ComputationProgress | None" = None, *, follow: bool = True, json: bool = False
) -> Generator[Callable[["Record"], None], None, None]:
    """Yields a function that prints one event; ``names`` maps key ids to names.

    With ``follow``, a terminal shows the state while the next event is awaited, and CloisterError is raised at the end
    if the computation failed. ``now`` is the progress before the first event is read: a run may have begun earlier.
    """
    shown = client.Timeline(names)
    before = now.seconds if now else 0
    began = time.monotonic() - before
    last = ""

    def print_event(record: "Record") -> None:
        nonlocal began, before, last
        last = record.event.kind.value
        entry = shown.entry(record.event)
        if json:
            show.signed(record.encode().decode())
        else:
            print(entry.text(), flush=True)
        if record.event.kind is client.EventKind.RUN_STARTED:
            began = time.monotonic() - before
            before = 0

    def state() -> str:
        return str(replace(shown.progress, seconds=int(time.monotonic() - began)))

    with show.waiting(state) if follow and not json else contextlib.nullcontext():
        yield print_event
    if follow and shown.progress.phase is client.Phase.FAILED:
        raise CloisterError("The computation failed.", hint="`logs` shows log readers what the algorithm printed.")
    if follow and last in _REFUSED:
        raise CloisterError(
            f"The computation ended without a result: {_REFUSED[last]}.",
            hint="Ask that party why; `reset` makes the machine ready for another computation.",
        )
