"""Watches one machine in a thread of its own: its verdict, its status and its events, and nothing else.

Of the calls that the party's key allows, it makes Status and Events only.
"""

import datetime
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cloister.attestation.result.verdict import Verdict
from cloister.client.computation.events import EventReader
from cloister.client.computation.status import ComputationStatus, fetch_status
from cloister.client.computation.timeline import key_names
from cloister.client.connection.connection import Connection
from cloister.client.connection.refusal import DamagedStream
from cloister.client.connection.session import Bound, Session
from cloister.client.files.keys import Key
from cloister.client.history.history import AcceptanceHistory, say_no
from cloister.client.page.machines import ManifestCopy, WatchedMachine
from cloister.client.page.timeline import EventWindow
from cloister.client.page.transfer import TransferRates
from cloister.errors import CloisterError, InputError, ProofError, RefusedError, UnreachableError
from cloister.protocol.events import State

VERDICT_SECONDS = 600.0
"""How long a session is used before the machine has to show new evidence."""

_BUSY_SECONDS = 1.0
_CALM_SECONDS = 2.0
_UNSEEN_SECONDS = 20.0
"""Pauses between two questions: while something moves, while someone looks, while no one does."""

_LOOKED_SECONDS = 30.0
"""How long someone counts as looking after a page was shown."""

_SHOWN_EVERY = 1000
"""Events after which a long log is shown as far as it has been read."""

_AGAIN = "End `page` with Ctrl-C and start it again."


_NO_ONE = Bound((), ())


class Contact(StrEnum):
    """How the last attempt to ask a machine ended."""

    ASKING = "asking"
    ANSWERED = "answered"
    SILENT = "silent"
    REFUSED = "refused"
    REJECTED = "rejected"
    BROKEN = "broken"
    """Cloister itself failed."""


@dataclass(frozen=True)
class Snapshot:
    """What is known of a machine. Only with the contact ANSWERED is ``status`` what the machine says now.

    since: when this contact began.
    problem, hint: what failed, and what to do about it; empty when nothing did.
    verdict: the last one, also a rejection; None if there was none, or the last attempt came to none.
    status, bound: the last answer of a machine that the policy accepts, and who this key is to it.
    answered: when that answer came; ``clock`` is the same moment on the monotonic clock.
    events: the events of this boot.
    log_problem: why the log is not read any further; empty if it is.
    differs: what differs from what this party accepted before in the workspace, in lines.
    rebooted: when the machine was seen to have started again; None if it was not.
    """

    since: datetime.datetime
    contact: Contact = Contact.ASKING
    problem: str = ""
    hint: str = ""
    verdict: Verdict | None = None
    status: ComputationStatus | None = None
    bound: Bound = _NO_ONE
    answered: datetime.datetime | None = None
    clock: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    events: EventWindow = field(default_factory=lambda: EventWindow({}))
    log_problem: str = ""
    differs: tuple[str, ...] = ()
    rebooted: datetime.datetime | None = None


class Watcher:
    """Asks one machine again and again. ``snapshot`` is replaced as a whole; ``changed`` is called after that."""

    def __init__(self, machine: WatchedMachine, key: Key, changed: Callable[[], None]) -> None:
        self.machine = machine
        self.key = key.public
        self.snapshot = Snapshot(_now())
        self._changed = changed
        self._key = key
        self._connection = Connection(machine.target, key)
        self._names = machine.members()
        self._reader: EventReader | None = None
        self._log_key = b""
        self._rates = TransferRates()
        self._session: Session | None = None
        self._compared: tuple[Session, ManifestCopy | None] | None = None
        self._opened = 0.0
        self._looked = time.monotonic()
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"watch {machine.cvm}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def look(self) -> None:
        """Say that someone looks at this machine's page: it is asked more often for a while."""
        unseen = time.monotonic() - self._looked > _LOOKED_SECONDS
        self._looked = time.monotonic()
        if unseen:
            self._awake.set()

    def stop(self) -> None:
        """End the thread after the attempt that it is in. It does not keep the process alive."""
        self._stopping.set()
        self._awake.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end, but not longer than ``seconds``."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def manifest(self) -> ManifestCopy | None:
        """The party's copy of the machine's manifest; None if there is no such copy."""
        status = self.snapshot.status
        return self._copy(status) if status is not None else None

    def _copy(self, status: ComputationStatus) -> ManifestCopy | None:
        digest = status.answer.manifest_digest
        return next((one for one in self.machine.manifests if one.manifest.digest() == digest), None)

    def _run(self) -> None:
        finished = False
        try:
            while not self._stopping.is_set():
                self._publish(self._ask())
                self._awake.wait(self._pause())
                self._awake.clear()
            finished = True
        finally:
            self._connection.close()
            if not finished:
                said = "Cloister failed while it watched this machine, and does not watch it any longer."
                self._publish(replace(self.snapshot, contact=Contact.BROKEN, problem=said, hint=_AGAIN, since=_now()))

    def _publish(self, found: Snapshot) -> None:
        before = self.snapshot
        self.snapshot = replace(found, since=before.since) if found.contact is before.contact else found
        self._changed()

    def _ask(self) -> Snapshot:
        """Everything of the machine that is new, or why it is not known."""
        before = replace(self.snapshot, since=_now(), problem="", hint="")
        connection = self._connection
        if time.monotonic() - self._opened > VERDICT_SECONDS:
            connection.close()
        try:
            status = fetch_status(connection)
            _ = status.state  # an unknown one is a failure of this answer
            session = connection.session()
            if session is not self._session:
                self._session, self._opened = session, time.monotonic()
            found = replace(
                before,
                contact=Contact.ANSWERED,
                verdict=connection.verdict(),
                status=status,
                bound=session.bound,
                answered=_now(),
                clock=time.monotonic(),
                rates=self._rates.update(status.answer.assets, time.monotonic()),
                differs=self._differences(before, session, self._copy(status)),
            )
            return self._read_events(found, status)
        except CloisterError as error:
            connection.close()
            return self._failed(before, error)

    def _differences(self, before: Snapshot, session: Session, copy: ManifestCopy | None) -> tuple[str, ...]:
        """Compare with the history again for another session or manifest, and until a difference is settled."""
        if self._compared == (session, copy) and not before.differs:
            return ()
        history = AcceptanceHistory(self.machine.target.policy, copy.manifest if copy else None, confirm=say_no)
        try:
            found = history.differences(self._connection.verdict(), self._key)
        except InputError as error:
            return (error.message,)
        self._compared = session, copy
        return tuple(line for one in found for line in one.lines)

    def _failed(self, before: Snapshot, error: CloisterError) -> Snapshot:
        found = replace(before, problem=error.message, hint=error.hint or error.remedy)
        if isinstance(error, UnreachableError):
            return replace(found, contact=Contact.SILENT)
        verdict = self._connection.appraised
        if isinstance(error, RefusedError) and (verdict is None or verdict.accepted):
            return replace(found, contact=Contact.REFUSED, verdict=verdict, status=None)
        return replace(found, contact=Contact.REJECTED, verdict=verdict, status=None)

    def _read_events(self, found: Snapshot, status: ComputationStatus) -> Snapshot:
        """Read the events that are new, from the first on after a reboot. A log that fails is not read any further."""
        key = self._connection.evidence().event_log_key
        if key != self._log_key:
            rebooted = found.answered if self._log_key else None
            self._log_key, self._reader = key, EventReader(self._connection)
            found = replace(found, events=EventWindow(self._names), log_problem="", rebooted=rebooted)
        copy = self._copy(status)
        if copy is not None:
            self._names |= key_names(copy.manifest.parties)
        if self._reader is None or found.log_problem:
            return found
        try:
            for record in self._reader.records(follow=False):
                found.events.add(record.event)
                if found.events.count % _SHOWN_EVERY == 0:
                    self._publish(replace(found, clock=time.monotonic()))
                if self._stopping.is_set():
                    break
        except DamagedStream:
            raise  # the way to the machine, not its log
        except ProofError as error:
            verdict = self._connection.appraised
            if verdict is None or not verdict.accepted:
                raise
            if self._connection.evidence().event_log_key == self._log_key:
                return replace(found, log_problem=error.message)
        return found

    def _pause(self) -> float:
        if time.monotonic() - self._looked > _LOOKED_SECONDS:
            return _UNSEEN_SECONDS
        status = self.snapshot.status
        moving = status is not None and status.state in (State.RECEIVING, State.RUNNING)
        return _BUSY_SECONDS if moving else _CALM_SECONDS


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
