"""Sessions in every order of opening, binding, calls and time: bound once, by a known key, and no stream twice."""

import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from agent_runtime.clock import Clock
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.rpc.session import BoundSession, Sessions
from cloister.attestation.evidence import Evidence
from cloister.protocol import hpkekey, transcript
from cloister.v1 import agent_pb2
from tests.agent_fixture import RunningAgent, running_agent
from tests.agent_runtime.world import new_key

OWNERS = (new_key(), new_key())
STRANGER = new_key()
LIMITS = Limits(pending_sessions=3, pending_seconds=10, sessions=4, sessions_per_key=2, session_idle_seconds=30)
SECONDS = st.sampled_from([1, 6, 11, 31])


class StillClock(Clock):
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def uptime(self) -> float:
        return self.seconds


@dataclass
class Opened:
    """An opened session as its party sees it, and when it was opened."""

    answer: agent_pb2.OpenSessionResponse
    transcript: bytes
    at: float


@dataclass
class Expected:
    """What the model knows of a bound session."""

    session: BoundSession
    used: float
    calls: int = 0
    streams: list[int] = field(default_factory=list)


class SessionStates(RuleBasedStateMachine):
    """All examples have the same machine, and sessions of their own."""

    machine: RunningAgent

    opened = Bundle("opened")
    bound = Bundle("bound")

    def __init__(self) -> None:
        super().__init__()
        agent = self.machine.agent
        self.clock = StillClock()
        self.attester = agent.sessions._attester
        self.sessions = Sessions(
            attester=self.attester,
            tls=agent.tls,
            boot_configuration_digest=self.machine.boot_configuration.digest(),
            identify=agent.computation.identify,
            limits=LIMITS,
            clock=self.clock,
        )
        self.pending: dict[str, Opened] = {}
        self.live: dict[str, Expected] = {}

    @rule(target=opened)
    def open(self) -> Opened:
        nonce = secrets.token_bytes(32)
        answer = self.sessions.open(agent_pb2.OpenSessionRequest(nonce=nonce))
        digest = transcript.transcript(
            nonce=nonce,
            session_id=answer.session_id,
            tls_key=self.machine.agent.tls.spki,
            hpke_public_key=answer.hpke_public_key,
            event_log_key=Evidence.parse(answer.evidence).event_log_key,
            evidence=answer.evidence,
            manifest_digest=transcript.NO_MANIFEST,
            boot_configuration_digest=self.machine.boot_configuration.digest(),
        )
        made = Opened(answer, digest, self.clock.uptime())
        if len(self.pending) == LIMITS.pending_sessions:
            del self.pending[next(iter(self.pending))]
        self.pending[answer.session_id] = made
        return made

    @rule(target=bound, one=opened, owner=st.sampled_from(OWNERS))
    def bind(self, one: Opened, owner) -> str:
        """Again, too late, or beyond a limit, too."""
        request = self._bind_request(one, owner, one.transcript)
        name = one.answer.session_id
        known = self.pending.pop(name, None)
        if known is None or self.clock.uptime() > known.at + LIMITS.pending_seconds:
            refuses(Reason.SESSION_UNKNOWN, lambda: self.sessions.bind(request))
            return name
        own = [other for other in self.live.values() if other.session.key_id == owner.id]
        idle = [other for other in own if not other.calls]
        if len(own) == LIMITS.sessions_per_key and not idle:
            refuses(Reason.BUSY, lambda: self.sessions.bind(request))
            return name
        self.sessions.bind(request)
        if len(own) == LIMITS.sessions_per_key:
            del self.live[min(idle, key=lambda other: other.used).session.id]
        self.live[name] = Expected(self.sessions.find(name), self.clock.uptime())
        return name

    @rule(target=bound, owner=st.sampled_from(OWNERS), calls=st.booleans())
    def open_and_bind(self, owner, calls: bool) -> str:
        """As every honest party does."""
        name = self.bind(self.open(), owner)
        if calls:
            self.begin_call(name)
        return name

    @rule(one=consumes(opened), forgery=st.sampled_from(["stranger", "transcript", "signature", "garbage"]))
    def bind_without_right(self, one: Opened, forgery: str) -> None:
        """The key of the session is gone afterwards, so that no second attempt is possible."""
        known = self.pending.pop(one.answer.session_id, None)
        late = known is None or self.clock.uptime() > known.at + LIMITS.pending_seconds
        key = STRANGER if forgery == "stranger" else OWNERS[0]
        signed = bytes(64) if forgery == "transcript" else one.transcript
        request = self._bind_request(one, key, signed, bytes(64) if forgery == "signature" else None)
        if forgery == "garbage":
            request.sealed = bytes(200)
        expected = Reason.MALFORMED if forgery == "garbage" else Reason.NOT_AUTHORIZED
        refuses(Reason.SESSION_UNKNOWN if late else expected, lambda: self.sessions.bind(request))
        genuine = self._bind_request(one, OWNERS[0], one.transcript)
        refuses(Reason.SESSION_UNKNOWN, lambda: self.sessions.bind(genuine))

    @rule(name=bound, stream=st.integers(1, 6))
    def take_stream(self, name: str, stream: int) -> None:
        if (one := self._alive(name)) is None:
            return
        if stream <= max(one.streams, default=0):
            refuses(Reason.STREAM_REPEATED, lambda: one.session.take(stream))
        else:
            one.session.take(stream)
            one.streams.append(stream)

    @rule(name=bound)
    def begin_call(self, name: str) -> None:
        if (one := self._alive(name)) is not None:
            self.sessions.enter(one.session)
            one.calls += 1
            one.used = self.clock.uptime()

    @rule(name=bound)
    def begin_call_of_a_session_that_is_removed_meanwhile(self, name: str) -> None:
        """Found before, and not counted: else a key could have more calls than it may."""
        if (one := self._alive(name)) is None or one.calls:
            return
        self.clock.seconds += LIMITS.session_idle_seconds + 1
        self.sweep()
        refuses(Reason.SESSION_UNKNOWN, lambda: self.sessions.enter(one.session))

    @rule(name=bound)
    def end_call(self, name: str) -> None:
        one = self.live.get(name)
        if one is not None and one.calls:
            self.sessions.leave(one.session)
            one.calls -= 1
            one.used = self.clock.uptime()

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: int) -> None:
        self.clock.seconds += seconds

    @rule()
    def sweep(self) -> None:
        self.sessions.sweep()
        now = self.clock.uptime()
        self.pending = {name: one for name, one in self.pending.items() if now <= one.at + LIMITS.pending_seconds}
        self.live = {name: one for name, one in self.live.items() if not self._idle(one)}

    @invariant()
    def exactly_the_expected_sessions_are_found(self) -> None:
        for name, one in self.live.items():
            if self._idle(one):
                refuses(Reason.SESSION_UNKNOWN, lambda name=name: self.sessions.find(name))
            else:
                assert self.sessions.find(name) is one.session
                assert one.session.identity.roles == ("owner",)
        for name in self.pending:
            refuses(Reason.SESSION_UNKNOWN, lambda name=name: self.sessions.find(name))

    @invariant()
    def the_limits_hold(self) -> None:
        assert set(self.sessions._bound) == set(self.live)
        assert set(self.sessions._pending) == set(self.pending)
        for owner in OWNERS:
            own = [one for one in self.live.values() if one.session.key_id == owner.id]
            assert len(own) <= LIMITS.sessions_per_key

    def _alive(self, name: str) -> Expected | None:
        """The session, if it is still there; the agent refuses every other."""
        one = self.live.get(name)
        if one is None or self._idle(one):
            refuses(Reason.SESSION_UNKNOWN, lambda: self.sessions.find(name))
            return None
        return one

    def _idle(self, one: Expected) -> bool:
        return not one.calls and self.clock.uptime() > one.used + LIMITS.session_idle_seconds

    @staticmethod
    def _bind_request(one: Opened, key, signed: bytes, signature: bytes | None = None) -> agent_pb2.BindSessionRequest:
        secret = secrets.token_bytes(32)
        plain = agent_pb2.BindPlaintext(
            secret=secret,
            party_key=key.public,
            signature=signature or key.sign(transcript.bind_digest(signed, secret, key.public)),
        )
        sealed = hpkekey.seal(one.answer.hpke_public_key, plain.SerializeToString(), info=one.transcript)
        return agent_pb2.BindSessionRequest(session_id=one.answer.session_id, sealed=sealed)


def refuses(reason: Reason, call: Callable[[], object]) -> None:
    with pytest.raises(CallRefusal) as caught:
        call()
    assert caught.value.reason is reason, caught.value.message


class TestSessionStates(SessionStates.TestCase):
    settings = settings(max_examples=60, stateful_step_count=20)

    @classmethod
    def setUpClass(cls) -> None:
        cls.around = ExitStack()
        folder = cls.around.enter_context(tempfile.TemporaryDirectory(prefix="cl-"))
        owners = tuple(owner.id for owner in OWNERS)
        SessionStates.machine = cls.around.enter_context(running_agent(Path(folder), owners))

    @classmethod
    def tearDownClass(cls) -> None:
        cls.around.close()
