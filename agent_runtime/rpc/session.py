"""Attested sessions. Anyone can open one; a key of the manifest or the boot configuration binds it, once."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from agent_runtime.clock import Clock
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.platform.attester import Attester
from agent_runtime.rpc.keys import TlsIdentity
from cloister.protocol import signingkey, transcript
from cloister.protocol.canonical import FormatError
from cloister.protocol.hpkekey import HpkeKeyPair
from cloister.protocol.sealing import Sealer, Sender, SessionKeys
from cloister.v1 import agent_pb2

BIND = "BindSession"
NONCE_SIZE = 32


@dataclass(frozen=True)
class PartyIdentity:
    """A key's parties in the manifest, and its roles."""

    parties: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass
class BoundSession:
    """A bound session."""

    id: str
    """Random, hexadecimal. Visible on the wire and no secret."""

    transcript: bytes
    """The hash over everything that the session's opening exchanged."""

    keys: SessionKeys
    """Keys that seal its calls."""

    key_id: str
    """Id of the party's key that bound it."""

    identity: PartyIdentity
    """Parties and roles of that key."""

    used: float
    """Uptime of the last call's begin or end, in seconds."""

    last_stream: int = 0
    """Highest stream id used so far."""

    calls: int = 0
    """Calls in progress."""

    released: dict[str, bytes] = field(default_factory=dict)
    """Result keys released to this session, by consumer: a lost answer can be repeated."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    """Guards ``last_stream``."""

    def take(self, stream: int) -> None:
        """Use a stream id of the client. They must increase. Raises CallRefusal STREAM_REPEATED."""
        with self.lock:
            if stream <= self.last_stream:
                raise CallRefusal(
                    Reason.STREAM_REPEATED,
                    f"Stream id {stream} was already used in this session; the last one was {self.last_stream}.",
                )
            self.last_stream = stream


@dataclass(frozen=True)
class _PendingSession:
    id: str
    key: HpkeKeyPair
    transcript: bytes
    manifest_digest: bytes
    opened: float


class Sessions:
    """All sessions of this boot. ``identify`` tells who holds a key (``Computation.identify``)."""

    def __init__(
        self,
        *,
        attester: Attester,
        tls: TlsIdentity,
        boot_configuration_digest: bytes,
        identify: Callable[[bytes], PartyIdentity],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._attester = attester
        self._tls = tls
        self._boot_configuration_digest = boot_configuration_digest
        self._identify = identify
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[str, _PendingSession] = {}
        self._bound: dict[str, BoundSession] = {}

    def open(self, request: agent_pb2.OpenSessionRequest) -> agent_pb2.OpenSessionResponse:
        """Make evidence over the caller's nonce and a fresh key. Raises CallRefusal MALFORMED, BUSY.

        Beyond the limit the oldest pending session is dropped: refusing the new one would let anyone lock out all
        others. Sessions open no faster than quotes are made, so a party has time to bind its session.
        """
        nonce = request.nonce
        if len(nonce) != NONCE_SIZE:
            raise CallRefusal(Reason.MALFORMED, f"The nonce must have {NONCE_SIZE} bytes, not {len(nonce)}.")
        key = HpkeKeyPair.generate()
        evidence = self._attester.for_session(
            nonce=nonce,
            tls_key_digest=self._tls.digest(),
            hpke_key_digest=hashlib.sha256(key.public).digest(),
        )
        encoded = evidence.encode()
        session_id = secrets.token_hex(16)
        manifest_digest = getattr(evidence.binding, "manifest_digest", None) or transcript.NO_MANIFEST
        pending = _PendingSession(
            id=session_id,
            key=key,
            transcript=transcript.transcript(
                nonce=nonce,
                session_id=session_id,
                tls_key=self._tls.spki,
                hpke_public_key=key.public,
                event_log_key=self._attester.event_log_key,
                evidence=encoded,
                manifest_digest=manifest_digest,
                boot_configuration_digest=self._boot_configuration_digest,
            ),
            manifest_digest=manifest_digest,
            opened=self._clock.uptime(),
        )
        with self._lock:
            while len(self._pending) >= self._limits.pending_sessions:
                del self._pending[next(iter(self._pending))]
            self._pending[session_id] = pending
        return agent_pb2.OpenSessionResponse(session_id=session_id, hpke_public_key=key.public, evidence=encoded)

    def bind(self, request: agent_pb2.BindSessionRequest) -> agent_pb2.Sealed:
        """Bind a session to a party's key. The session's HPKE key is deleted in any case."""
        with self._lock:
            pending = self._pending.pop(request.session_id, None)
        if pending is None or self._clock.uptime() > pending.opened + self._limits.pending_seconds:
            raise _unknown()
        self._check_manifest(pending.manifest_digest)
        if len(request.sealed) > self._limits.bind_bytes:
            raise CallRefusal(Reason.MALFORMED, "The message that binds the session is too large.")
        try:
            plain = agent_pb2.BindPlaintext.FromString(pending.key.open(request.sealed, info=pending.transcript))
            digest = transcript.bind_digest(pending.transcript, plain.secret, plain.party_key)
            genuine = signingkey.verify(plain.party_key, plain.signature, digest)
        except (FormatError, DecodeError) as error:
            raise CallRefusal(Reason.MALFORMED, "The message that binds the session is malformed.") from error
        key_id = signingkey.key_id(plain.party_key)
        if not genuine:
            raise CallRefusal(
                Reason.NOT_AUTHORIZED, f"The signature that binds the session is not from the key {key_id}.", key=key_id
            )
        session = BoundSession(
            id=pending.id,
            transcript=pending.transcript,
            keys=SessionKeys.derive(
                transcript=pending.transcript, secret=plain.secret, manifest_digest=pending.manifest_digest
            ),
            key_id=key_id,
            identity=self._identify(plain.party_key),
            used=self._clock.uptime(),
        )
        self._add(session)
        bound = agent_pb2.Bound(
            transcript=session.transcript, roles=session.identity.roles, parties=session.identity.parties
        )
        counter, ciphertext = Sealer(session.keys, Sender.AGENT, BIND, 0).seal(bound.SerializeToString(), last=True)
        return agent_pb2.Sealed(session_id=session.id, stream=0, counter=counter, last=True, ciphertext=ciphertext)

    def find(self, session_id: str) -> BoundSession:
        """The bound session of this id. Raises CallRefusal SESSION_UNKNOWN."""
        with self._lock:
            session = self._bound.get(session_id)
            now = self._clock.uptime()
            if session is None or (not session.calls and now > session.used + self._limits.session_idle_seconds):
                raise _unknown()
            return session

    def check(self, session: BoundSession) -> None:
        """Raises CallRefusal MANIFEST_CHANGED when a manifest was submitted after the session was opened."""
        self._check_manifest(session.keys.manifest_digest)

    def enter(self, session: BoundSession) -> None:
        """Count a call that begins. Raises CallRefusal BUSY when the session's key has too many, and SESSION_UNKNOWN
        for one that was removed since it was found: its calls would not be counted.
        """
        with self._lock:
            if self._bound.get(session.id) is not session:
                raise _unknown()
            calls = sum(other.calls for other in self._bound.values() if other.key_id == session.key_id)
            if calls >= self._limits.calls_per_key:
                raise CallRefusal(Reason.BUSY, f"This key already has {calls} open calls. End one of them first.")
            session.calls += 1
            session.used = self._clock.uptime()

    def leave(self, session: BoundSession) -> None:
        """End a call that :meth:`enter` counted."""
        with self._lock:
            session.calls -= 1
            session.used = self._clock.uptime()

    def gauges(self) -> dict[str, tuple[str, str, float]]:
        """How many sessions there are, as metrics: unit, help and value by name."""
        with self._lock:
            return {
                "sessions_pending": ("", "Sessions that are open and not bound", len(self._pending)),
                "sessions_bound": ("", "Bound sessions", len(self._bound)),
            }

    def sweep(self) -> None:
        """Remove sessions that were not bound in time or are idle for too long."""
        now = self._clock.uptime()
        with self._lock:
            for pending in [p for p in self._pending.values() if now > p.opened + self._limits.pending_seconds]:
                del self._pending[pending.id]
            for session in list(self._bound.values()):
                if not session.calls and now > session.used + self._limits.session_idle_seconds:
                    del self._bound[session.id]

    def _add(self, session: BoundSession) -> None:
        """Keep a session. A key with too many loses the one that is idle for longest; other keys cannot cause this."""
        with self._lock:
            own = [other for other in self._bound.values() if other.key_id == session.key_id]
            if len(own) >= self._limits.sessions_per_key:
                idle = [other for other in own if not other.calls]
                if not idle:
                    raise CallRefusal(Reason.BUSY, f"This key already has {len(own)} sessions in use.")
                del self._bound[min(idle, key=lambda other: other.used).id]
            elif len(self._bound) >= self._limits.sessions:
                raise CallRefusal(Reason.BUSY, "Too many sessions are open. Try again later.")
            self._bound[session.id] = session

    def _check_manifest(self, digest: bytes) -> None:
        current = self._attester.manifest_digest
        if digest != current:
            raise CallRefusal(
                Reason.MANIFEST_CHANGED,
                "A manifest was submitted after this session was opened. Open a new session.",
                manifest=current.hex(),
            )


def _unknown() -> CallRefusal:
    return CallRefusal(Reason.SESSION_UNKNOWN, "The session is unknown or has ended. Open a new one.")
