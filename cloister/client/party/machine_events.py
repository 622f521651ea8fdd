"""The event log of a machine as one object: read once or followed, shown as a timeline, saved for an audit."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from cloister.client.computation.events import EventReader, save_events
from cloister.client.computation.timeline import Timeline, TimelineEntry, timeline_table
from cloister.client.connection.connection import Connection
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import one_line
from cloister.errors import InputError
from cloister.protocol.events import Record
from cloister.protocol.progress import ComputationProgress, Phase
from cloister.userfile import FilePath


class MachineEvents:
    """The events of a machine, from the first one on, each verified. Iterating yields an entry for each.

    With ``follow``, iterating waits for further events until the computation has ended, or has reached a state of
    ``until``. It may be interrupted and begun again: what was read is not asked for again.
    """

    def __init__(
        self, connection: Connection, names: Mapping[str, str], *, follow: bool, until: frozenset[Phase]
    ) -> None:
        """``names`` has names by key id. Nothing is read yet."""
        self._connection = connection
        self._names = names
        self._follow = follow
        self._until = until
        self._reader = EventReader(connection)
        self._records: list[Record] = []

    @classmethod
    def open(
        cls, connection: Connection, names: Mapping[str, str], *, follow: bool, until: str | Iterable[str] = ()
    ) -> Self:
        """A log with the events so far; with ``follow`` nothing is read before something iterates.

        Raises InputError for an unknown state, ProofError when an event is not genuine, RefusedError when this key may
        not read the events, UnreachableError when no agent answers.
        """
        made = cls(connection, names, follow=follow, until=phases(until))
        if not follow:
            for _ in made._read():
                pass
        return made

    @property
    def progress(self) -> ComputationProgress:
        """How far the computation was at the last event that was read."""
        return self._reader.progress

    @property
    def records(self) -> tuple[Record, ...]:
        """The signed events that were read."""
        return tuple(self._records)

    def __iter__(self) -> Iterator[TimelineEntry]:
        shown = Timeline(self._names)
        return (shown.entry(record.event) for record in self.signed())

    def __len__(self) -> int:
        """How many events were read."""
        return len(self._records)

    def signed(self) -> Iterator[Record]:
        """The same events with their signatures."""
        if self._reader.count != len(self._records):  # interrupted between the two: what was read is read again
            self._reader, self._records = EventReader(self._connection), []
        yield from list(self._records)
        if self._follow and not self._ended():
            yield from self._read()

    def save(self, path: FilePath) -> Path:
        """Write what was read, and new evidence beside it, for ``audit``.

        Returns:
            The file of the evidence.

        Raises:
            InputError: a file cannot be written.
            CloisterError: the machine shows no evidence that the policy accepts.
        """
        return save_events(self._connection, Path(path), self._records)

    def __repr__(self) -> str:
        return one_line(f"MachineEvents: {len(self)} events, {self.progress}")

    def _repr_html_(self) -> str:
        shown = Timeline(self._names)
        entries = [shown.entry(record.event) for record in self._records]
        return fragment(f"{len(entries)} signed events, {self.progress}", timeline_table(entries))

    def _read(self) -> Iterator[Record]:
        for record in self._reader.records(follow=self._follow, until=self._until):
            self._records.append(record)
            yield record

    def _ended(self) -> bool:
        return bool(self._records) and (self.progress.phase in self._until or self.progress.final)


def phases(until: str | Iterable[str]) -> frozenset[Phase]:
    """The states that a user names, in upper or lower case. Raises InputError."""
    known = {phase.lower(): phase for phase in Phase}
    found = set()
    for said in (until,) if isinstance(until, str) else until:
        if (phase := known.get(said.strip().lower())) is None:
            raise InputError(f"There is no state {said!r}.", hint=f"The states are: {', '.join(Phase)}.")
        found.add(phase)
    return frozenset(found)
