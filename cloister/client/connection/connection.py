"""A party's sessions with one CVM, opened and reopened as needed."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Self, TypeVar

from cloister.attestation.evidence import Evidence
from cloister.attestation.result.verdict import Verdict
from cloister.client.connection import refusal
from cloister.client.connection.binding import bind
from cloister.client.connection.channel import close_channel
from cloister.client.connection.opening import Opening, Target, attest
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.connection.session import Session
from cloister.client.files.keys import Key
from cloister.errors import CloisterError, ProofError

R = TypeVar("R")

_PATIENCE = 20.0
"""Seconds that an agent certainly waits for an opened session to be bound."""


class Connection:
    """Sessions with one CVM for one key: opened at the first call, and again when the agent dropped the last one.

    A context manager that closes the session. Nothing is opened until something is called. Several threads may share
    it: one opens the session, all use it.
    """

    def __init__(self, target: Target, key: Key) -> None:
        self.target = target
        self._key = key
        self._session: Session | None = None
        self._verdict: Verdict | None = None
        self._appraised: Verdict | None = None
        self._evidence: Evidence | None = None
        self._permit: Callable[[Verdict], None] = _permit_all
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def key(self) -> Key:
        """The party's key."""
        return self._key

    def session(self) -> Session:
        """The bound session, opened if necessary. Raises ProofError when the verdict does not accept."""
        with self._lock:
            if self._session is None:
                opening = self._accepted()
                try:
                    self._session = bind(opening, self._key)
                except BaseException:
                    close_channel(opening.channel)
                    raise
                self._verdict, self._evidence = opening.verdict, opening.evidence
            return self._session

    def _accepted(self) -> Opening:
        """An opening that the policy and the party accept. If a question took long, another one: agents forget them."""
        while True:
            self._appraised = None
            opening = attest(self.target)
            self._appraised = opening.verdict
            began = time.monotonic()
            try:
                self._require_accepted(opening)
                self.target.accepting(opening.verdict, self._key)
                self._permit(opening.verdict)
                if time.monotonic() - began < _PATIENCE:
                    return opening
            except BaseException:
                close_channel(opening.channel)
                raise
            close_channel(opening.channel)

    def _require_accepted(self, opening: Opening) -> None:
        try:
            opening.require_accepted()
        except ProofError:
            self.target.refusing()
            raise

    @contextlib.contextmanager
    def permitting(self, check: Callable[[Verdict], None]) -> Generator[None]:
        """Within the context, ``check`` permits the machine of each session, or raises: of the present one first, of a
        later one before it is used. A machine that was reset is another one.
        """
        with self._lock:
            check(self.verdict())
            self._permit = check
        try:
            yield
        finally:
            self._permit = _permit_all

    def verdict(self) -> Verdict:
        """The verdict under which the session was opened."""
        self.session()
        if self._verdict is None:
            raise ProofError("There is no verdict on this machine.")
        return self._verdict

    @property
    def appraised(self) -> Verdict | None:
        """The verdict of the last attempt to open a session, also one that rejects; None if there was no verdict."""
        return self._appraised

    def evidence(self) -> Evidence:
        """The evidence that the session was opened with."""
        self.session()
        if self._evidence is None:
            raise ProofError("This machine has shown no evidence.")
        return self._evidence

    def close(self) -> None:
        """Close the session; the next call opens another."""
        with self._lock:
            session, self._session = self._session, None
            # In this order: what another thread's call ends with is then known to be the end of the session.
            if session is not None:
                session.close()

    def drop(self, session: Session) -> None:
        """Close this session, unless another thread has done so and perhaps opened the next one."""
        with self._lock:
            if self._session is session:
                self.close()

    def has(self, session: Session) -> bool:
        """Whether the session is still the one in use."""
        return self._session is session

    def call(self, do: Callable[[Session], R]) -> R:
        """Run ``do`` with the session, and once more with a new one if the agent no longer accepts the old one."""
        try:
            return do(self.session())
        except CloisterError as error:
            if not is_stale(error):
                raise
        self.close()
        return do(self.session())


def _permit_all(verdict: Verdict) -> None:
    """Permit the machine of every session."""


def is_stale(error: CloisterError) -> bool:
    """Return whether the agent refused because of the session, and would accept the same call in a new one."""
    return refusal.reason_of(error) in ("MANIFEST_CHANGED", "SESSION_UNKNOWN")


def is_interruption(error: CloisterError) -> bool:
    """Return whether a transfer may resume with a new session after ``error``."""
    # Not BUSY: two uploads of the same asset would keep interrupting each other.
    return isinstance(error, ConnectionLost) or is_stale(error) or refusal.reason_of(error) == "WRONG_OFFSET"
