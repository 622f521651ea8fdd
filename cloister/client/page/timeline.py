"""The events of one machine that a page shows: the newest ones, each verified before it comes here."""

import threading
from collections import deque
from collections.abc import Mapping
from itertools import islice

from cloister.client.computation.timeline import Timeline, TimelineEntry
from cloister.protocol.events import Event, EventKind

MAX_KEPT = 20_000
"""Entries in memory for each machine. Older ones are still in the machine's log, which `events` reads."""

_RELEASES = frozenset({EventKind.RESULT_CONSUMED, EventKind.RESULT_PREVIEWED})


class EventWindow:
    """The events of one boot. One thread adds events, others read.

    ``count`` is the number of all events so far, ``released`` maps a consumer to the number of the event with which its
    result was released.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        """``names`` maps key ids to names; later changes of it count for later events."""
        self.count = 0
        self.released: dict[str, int] = {}
        self._timeline = Timeline(names)
        self._kept: deque[TimelineEntry] = deque(maxlen=MAX_KEPT)
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        """Add the next event."""
        entry = self._timeline.entry(event)
        with self._lock:
            self._kept.append(entry)
            self.count += 1
            if event.kind in _RELEASES and (consumer := event.detail.get("consumer")) and len(self.released) < MAX_KEPT:
                self.released[consumer] = event.sequence

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self.count - len(self._kept)

    def newest(self, most: int, before: int | None = None) -> list[tuple[int, TimelineEntry]]:
        """At most so many events with their numbers, the newest first; with ``before`` those of lower numbers only."""
        with self._lock:
            first = self.count - len(self._kept)
            end = self.count if before is None else min(before, self.count)
            start = max(first, end - most)
            if start >= end:
                return []
            found = list(islice(self._kept, start - first, end - first))
        return [(start + index, entry) for index, entry in enumerate(found)][::-1]
