"""The event log: events in canonical JSON, each with the digest of the previous one, each signed by the agent."""

import functools
import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ed25519

from cloister.errors import ProofError
from cloister.protocol import canonical, schema, signingkey

MAX_LINE = 64 * 1024
"""Bytes of one line of the log."""

MAX_EVENTS = 100_000

MAX_LOG = 64 * 1024 * 1024
"""Bytes of the events of one boot. An agent's limits allow a tenth of that."""

FIRST_PREVIOUS = bytes(32)
"""The ``previous`` of the first event."""


class State(StrEnum):
    """The state of a computation, as events and the agent's status name it; people see the names in ``progress``.

    A CVM accepts one manifest until it is reset.
    """

    IDLE = "Idle"
    RECEIVING = "ReceivingAssets"
    HELD = "WaitingForStart"
    RUNNING = "Running"
    APPROVAL = "AwaitingApproval"
    CONSUMING = "ConsumingResults"
    COMPLETE = "Complete"
    FAILED = "Failed"
    STOPPED = "Stopped"


class EventKind(StrEnum):
    """What an event reports; ``state`` in the event is the state after it."""

    STARTED = "agent-started"
    MANIFEST = "manifest-accepted"
    CONSENT = "consent-given"
    ASSET = "asset-received"
    RUN_HELD = "run-held"
    RUN_STARTED = "run-started"
    RUN_FINISHED = "run-finished"
    RESULTS_READY = "results-ready"
    RESULT_CONSUMED = "result-consumed"
    EXPIRED = "results-expired"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    WITHDRAWN = "withdrawn"
    RESULT_PREVIEWED = "result-previewed"
    APPROVED = "result-approved"
    REJECTED = "result-rejected"


@dataclass(frozen=True)
class Event:
    """One step of a computation."""

    sequence: int
    """Number of the event, from 0."""
    previous: str
    """Digest of the previous event, hex; zeros for the first."""
    time: str
    """RFC 3339 in UTC, as the host reports it."""
    uptime: int
    """Milliseconds since boot, from the guest's monotonic clock."""
    kind: EventKind
    state: State
    """The state after the event."""
    manifest: str | None = None
    """Digest of the manifest, hex; None before one is submitted."""
    actor: str | None = None
    """Id of the key whose call caused the event; None if no call did."""
    detail: dict[str, str] = field(default_factory=dict)
    """More about this kind of event; strings only."""

    def value(self) -> dict[str, Any]:
        """The event as a JSON object, without members that are None."""
        value: dict[str, Any] = {
            "version": 1,
            "sequence": self.sequence,
            "previous": self.previous,
            "time": self.time,
            "uptime": self.uptime,
            "kind": self.kind.value,
            "state": self.state.value,
            "detail": dict(self.detail),
        }
        if self.manifest is not None:
            value["manifest"] = self.manifest
        if self.actor is not None:
            value["actor"] = self.actor
        return value

    @functools.cached_property
    def encoded(self) -> bytes:
        """The canonical event: what is signed, and what the next event names the digest of."""
        return canonical.encode(self.value())

    def digest(self) -> bytes:
        """SHA-256 of the canonical event: the ``previous`` of the next one, and the head of the log."""
        return hashlib.sha256(self.encoded).digest()


@dataclass(frozen=True)
class Record:
    """A line of the log: an event and the signature (64 bytes, Ed25519) over its canonical form."""

    event: Event
    signature: bytes

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """From one line of canonical JSON (without its newline). Raises FormatError."""
        what = "An event"
        value = canonical.parse_canonical(line, what=what, limit=MAX_LINE)
        schema.validate("event", value, what=what)
        event = value["event"]
        canonical.from_time(event["time"], what="An event's time")
        parsed = Event(
            sequence=event["sequence"],
            previous=event["previous"],
            time=event["time"],
            uptime=event["uptime"],
            kind=EventKind(event["kind"]),
            state=State(event["state"]),
            manifest=event.get("manifest"),
            actor=event.get("actor"),
            detail=event["detail"],
        )
        # The line is in canonical form, and so is the event in it: a long log is encoded once and not four times.
        signature = value["signature"]
        parsed.__dict__["encoded"] = line.removeprefix(b'{"event":').removesuffix(
            b',"signature":"%b"}' % signature.encode()
        )
        return cls(event=parsed, signature=canonical.from_base64(signature, what="An event's signature"))

    def encode(self) -> bytes:
        """The line, without a newline."""
        return canonical.encode({"event": self.event.value(), "signature": canonical.to_base64(self.signature)})


_LABEL = b"cloister/v1/event\0"


def sign(event: Event, key: ed25519.Ed25519PrivateKey) -> Record:
    """The record of ``event``: Ed25519 over a label and the canonical event."""
    return Record(event, key.sign(_LABEL + event.encoded))


class EventChain:
    """Verifies records in order: signed by one key, numbered without gaps, each with the digest of the previous one.

    ``head`` is the digest of the last event (32 zero bytes before the first), ``count`` the number of events.
    """

    def __init__(self, event_log_key: bytes) -> None:
        """``event_log_key`` is the SPKI. Raises ProofError when it is not an Ed25519 key."""
        try:
            self._key = signingkey.load_event_log_key(event_log_key)
        except canonical.FormatError as error:
            raise ProofError(f"The evidence has no usable event-log key. {error.message}") from error
        self.head = FIRST_PREVIOUS
        self.count = 0

    def add(self, record: Record) -> None:
        """Verify the next record. Raises ProofError with the expected and the found value."""
        event = record.event
        if self.count >= MAX_EVENTS:
            raise ProofError(f"The event log has more than {MAX_EVENTS} events.")
        if event.sequence != self.count:
            raise ProofError(f"The event log continues with event {event.sequence}; expected is event {self.count}.")
        if event.previous != self.head.hex():
            raise ProofError(
                f"Event {event.sequence}: the digest of the previous event differs "
                f"(in the event: {event.previous[:16]}..., of that event: {self.head.hex()[:16]}...)."
            )
        if not signingkey.verify_with(self._key, record.signature, _LABEL + event.encoded):
            raise ProofError(f"Event {event.sequence} is not signed by the event-log key in the evidence.")
        self.head = event.digest()
        self.count += 1
