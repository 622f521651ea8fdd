"""The event log, in memory. The computation appends events; sessions read and follow them."""

import threading
from collections.abc import Callable

from agent_runtime.clock import Clock
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.rpc.keys import EventKey
from cloister.protocol import canonical, events
from cloister.protocol.events import Event, EventKind, State

RESERVE = 4096
"""Events reserved for the computation's own steps, whose number peers cannot raise."""


class SignedEventLog:
    """Signed, hash-chained lines. Peers can cause any number of consents, so those leave a reserve."""

    def __init__(self, key: EventKey, clock: Clock) -> None:
        self._key = key
        self._clock = clock
        self._lines: list[bytes] = []
        self._changed = threading.Condition()
        self.head = events.FIRST_PREVIOUS
        self.last: State | None = None

    def __len__(self) -> int:
        return len(self._lines)

    def append(
        self,
        kind: EventKind,
        state: State,
        *,
        manifest: bytes | None = None,
        actor: str | None = None,
        detail: dict[str, str] | None = None,
    ) -> Event:
        """Add an event; ``manifest`` is its digest, ``actor`` a key id. Raises CallRefusal LOG_FULL."""
        with self._changed:
            limit = events.MAX_EVENTS - (RESERVE if kind is EventKind.CONSENT else 0)
            if len(self._lines) >= limit:
                raise CallRefusal(Reason.LOG_FULL, "The event log is full. Reset the machine to start again.")
            event = Event(
                sequence=len(self._lines),
                previous=self.head.hex(),
                time=canonical.to_time(self._clock.now()),
                uptime=int(self._clock.uptime() * 1000),
                kind=kind,
                state=state,
                manifest=None if manifest is None else manifest.hex(),
                actor=actor,
                detail=detail or {},
            )
            self._lines.append(events.sign(event, self._key.private).encode())
            self.head, self.last = event.digest(), state
            self._changed.notify_all()
            return event

    def line(self, sequence: int) -> bytes | None:
        """The line of an event, without newline. None when the event does not exist yet."""
        return self._lines[sequence] if sequence < len(self._lines) else None

    def snapshot(self) -> tuple[bytes, bytes]:
        """The whole log as JSON lines, and its head."""
        with self._changed:
            return b"".join(line + b"\n" for line in self._lines), self.head

    def wait(self, sequence: int, ended: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait for event ``sequence`` or ``ended()``, which :meth:`wake` checks again; at most ``seconds``.

        Whether the event exists.
        """
        with self._changed:
            self._changed.wait_for(lambda: sequence < len(self._lines) or ended(), seconds)
            return sequence < len(self._lines)

    def wake(self) -> None:
        """Let every waiting call check its condition again."""
        with self._changed:
            self._changed.notify_all()
