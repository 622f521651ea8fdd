"""A computation in every order of its calls, honest and not: the promises of tests/faults hold after each."""

import hashlib
import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent_runtime.computation.results import ResultSlots
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.client.connection.refusal import Refusal
from cloister.client.connection.session import Session
from cloister.errors import CloisterError
from cloister.protocol import transcript
from cloister.protocol.events import EventKind, State
from cloister.v1 import agent_pb2
from tests.agent_fixture import RunningAgent, running_agent
from tests.agent_runtime.decisions import CALLS, RELEASES
from tests.agent_runtime.fair_lock import at_one_time, install
from tests.agent_runtime.world import World, new_key, pieces
from tests.faults.invariants import Invariants

KEYS = {name: new_key() for name in ("owner", "lab", "hospital", "reader", "stranger")}
FILES = {"algorithm": b"open('results/model', 'wb').write(bytes(5000))\n", "h1": b"0123456789" * 20}
PROVIDERS = {"algorithm": "lab", "h1": "hospital"}
CONSUMERS = ("lab", "hospital")
parties = st.sampled_from(["owner", "lab", "hospital", "reader"])
approvals = st.sampled_from([None, {"by": ["hospital"], "sees": "names"}, {"by": ["lab", "reader"], "sees": "files"}])
assets = st.sampled_from(sorted(FILES))
TOGETHER = sorted(CALLS.keys() - {"the end of time"})
STARTED = (State.RUNNING, State.APPROVAL, State.CONSUMING)
"""A run passes from the first of these to one of the others by itself: no rule may depend on which of them it is."""


class SeenAgent:
    """An agent of this process, for the invariants."""

    def __init__(self, running: RunningAgent) -> None:
        self._running = running
        self.store = running.config.store

    def runs(self) -> list[list[str]]:
        return self._running.executor.held

    def log(self) -> str:
        return ""


class RunStates(RuleBasedStateMachine):
    """One machine an example. What the agent refuses is told in a sentence, and changes nothing that it may not."""

    def __init__(self) -> None:
        super().__init__()
        self._around = ExitStack()
        folder = self._around.enter_context(tempfile.TemporaryDirectory(prefix="cl-"))
        running = self._around.enter_context(running_agent(Path(folder), (KEYS["owner"].id,)))
        self.world = World(running, KEYS, dict(FILES))
        self.manifest = self.world.compose()
        self.submitted = False
        self.sessions: dict[str, Session] = {}
        self.lock = install(running.agent)
        self.observer = Connection(Target(running.address, running.policy()), KEYS["owner"])
        self._around.callback(self.observer.close)
        self.seen = SeenAgent(running)
        self.promises = Invariants(self.seen, self.manifest, self.observer)

    @initialize(hold=st.booleans(), early=st.booleans(), approval=approvals)
    def submit(self, hold: bool, early: bool, approval: dict[str, object] | None) -> None:
        results = {"consumers": list(CONSUMERS), "expires": 3600, "max": 1 << 20}
        self.manifest = self.world.compose(results=results | ({"approval": approval} if approval else {}))
        self.promises = Invariants(self.seen, self.manifest, self.observer)
        if early:
            self.told(lambda: self.session("lab").upload_offset("h1"))
            self.sessions.clear()
        with self.world.session("owner") as session:
            session.submit_manifest(self.manifest.encode(), hold=hold)
        self.submitted = True

    @rule(party=parties)
    def submit_again(self, party: str) -> None:
        assert self.told(lambda: self.session(party).submit_manifest(self.manifest.encode())) is None

    @rule(asset=assets)
    def upload(self, asset: str) -> None:
        """The rest of an asset, by its provider."""
        self.told(lambda: self.send(self.session(PROVIDERS[asset]), asset, self.part(asset, None, 1000), None))

    @rule()
    def upload_all(self) -> None:
        """As far as a computation gets in honest hands."""
        for asset in FILES:
            self.upload(asset)
        self.told(lambda: self.session("owner").start())

    @rule(asset=assets, party=parties, at=st.one_of(st.none(), st.integers(0, 60)), count=st.integers(1, 60))
    def upload_something(self, asset: str, party: str, at: int | None, count: int) -> None:
        """Some of the bytes, by anyone, from the right offset or another."""
        self.told(lambda: self.send(self.session(party), asset, self.part(asset, at, count), at))

    @rule(asset=assets, count=st.integers(1, 60))
    def upload_forged(self, asset: str, count: int) -> None:
        """The provider's own bytes, of which one is wrong."""
        data = bytearray(self.part(asset, None, count))
        if data:
            data[-1] ^= 1
            self.told(lambda: self.send(self.session(PROVIDERS[asset]), asset, bytes(data), None))

    @rule(asset=assets, consent=st.sampled_from(["none", "another asset's", "another session's"]))
    def upload_without_consent(self, asset: str, consent: str) -> None:
        session, key = self.session(PROVIDERS[asset]), KEYS[PROVIDERS[asset]]
        (other,) = [name for name in FILES if name != asset]
        given = {
            "none": b"",
            "another asset's": self.world.consent(session, other, key),
            "another session's": self.world.consent(session, asset, key, transcript=bytes(64)),
        }[consent]
        at = session.upload_offset(asset)
        start = agent_pb2.UploadStart(asset=asset, consent=given, offset=at.offset)
        found = self.told(lambda: session.upload_asset(start, lambda: pieces(FILES[asset]), len(FILES[asset])))
        assert found is None or at.complete

    @rule(party=parties)
    def start(self, party: str) -> None:
        self.told(lambda: self.session(party).start())

    @precondition(lambda self: self.state() in STARTED)
    @rule(consumer=st.sampled_from((*CONSUMERS, "reader")), party=parties, right=st.booleans(), fresh=st.booleans())
    def fetch(self, consumer: str, party: str, right: bool, fresh: bool) -> None:
        """By anyone, in an earlier session or a new one, with the right digest or another."""
        self.world.wait_for("run-finished")
        if fresh:
            self.sessions.pop(party, None)
        session = self.session(party)

        def release() -> bytes:
            digest = hashlib.sha256()
            with session.fetch_result(consumer, 0, 1 << 20) as (_, parts):
                for part in parts:
                    digest.update(part)
            return session.release_result(consumer, digest.digest() if right else bytes(32))

        key = self.told(release)
        if key is not None:
            assert party == consumer
            self.promises.found_key(consumer, key)

    @precondition(lambda self: self.state() in STARTED)
    @rule(consumer=st.sampled_from((*CONSUMERS, "reader")), times=st.integers(1, 2))
    def fetch_own(self, consumer: str, times: int) -> None:
        """By the consumer, perhaps again in a new session."""
        for _ in range(times):
            self.fetch(consumer, consumer, right=True, fresh=True)

    @precondition(lambda self: self.state() in STARTED)
    @rule(party=parties, signer=parties, approve=st.booleans(), right=st.sampled_from([True, True, False]))
    def decide(self, party: str, signer: str, approve: bool, right: bool) -> None:
        """By anyone, with its own signature or another's, over this result or another."""
        self.world.wait_for("results-ready")
        session = self.session(party)
        (ready,) = [event for event in self.promises.check() if event.kind is EventKind.RESULTS_READY]
        message = transcript.approval_message if approve else transcript.rejection_message
        signature = KEYS[signer].sign(
            message(
                manifest_digest=self.manifest.digest(),
                payload_digest=bytes.fromhex(ready.detail["receipt"]) if right else bytes(32),
                transcript=session.transcript,
            )
        )
        before = len(self.promises.check())
        call = session.approve if approve else session.reject
        if self.told(lambda: call(signature) or "done") is not None:
            assert party in self.manifest.results.approvers
            if len(self.promises.check()) > before:
                assert (party, right) == (signer, True)

    @precondition(lambda self: self.state() in STARTED)
    @rule(approve=st.booleans())
    def decide_all(self, approve: bool) -> None:
        """As honest approvers do."""
        for party in self.manifest.results.approvers:
            self.decide(party, party, approve, right=True)

    @precondition(lambda self: self.state() in (State.HELD, *STARTED))
    @rule(
        names=st.lists(st.sampled_from(sorted(CALLS.keys() - {"the end of time"})), min_size=2, max_size=4, unique=True)
    )
    def at_one_time(self, names: list[str]) -> None:
        """Decisions of several parties, each of which waits for the one before it."""
        self.settle()
        calls = {name: CALLS[name][1](self.world, self.session(CALLS[name][0]), CALLS[name][0]) for name in names}
        found = at_one_time(self.lock, calls)
        for name in RELEASES & found.keys():
            if isinstance(key := found[name], bytes):
                self.promises.found_key(CALLS[name][0], key)

    @rule(reader=parties)
    def read_logs(self, reader: str) -> None:
        printed = self.told(lambda: list(self.session(reader).logs()))
        if printed is not None:
            assert reader == "reader"
            events = self.promises.check()
            approved = {event.detail["party"] for event in events if event.kind is EventKind.APPROVED}
            assert approved == set(self.manifest.results.approvers)
            assert events[-1].kind is not EventKind.WITHDRAWN

    @precondition(lambda self: self.state() in (State.HELD, *STARTED))
    @rule()
    def expire(self) -> None:
        self.settle()
        self.world.running.clock.pass_time(24 * 3600)
        self.world.running.agent.sweep()

    @precondition(lambda self: self.state() not in (State.RECEIVING, State.IDLE))
    @rule(party=parties, signer=parties, right=st.booleans())
    def withdraw(self, party: str, signer: str, right: bool) -> None:
        """By anyone, with its own signature or another's, over this session or another."""
        session = self.session(party)
        message = transcript.withdrawal_message(
            manifest_digest=self.manifest.digest(),
            party=party,
            transcript=session.transcript if right else bytes(64),
        )
        ended = self.promises.check()[-1]
        told = self.told(lambda: session.withdraw(KEYS[signer].sign(message)) or "done")
        if told is not None:
            assert party == signer
            assert right
            now = self.promises.check()[-1]
            assert (now.kind, now.actor) == (EventKind.WITHDRAWN, KEYS[party].id), (ended, now)

    @precondition(lambda self: self.state() not in (State.RECEIVING, State.IDLE))
    @rule(party=parties)
    def stop(self, party: str) -> None:
        self.told(lambda: self.session(party).stop())

    @invariant()
    def no_promise_is_broken(self) -> None:
        assert self.lock.unlocked == []
        if self.submitted:
            events = self.promises.check()
            slots: ResultSlots = self.world.running.agent.computation.slots
            if events[-1].state in (State.COMPLETE, State.FAILED, State.STOPPED):
                assert not [path for path in self.promises._guest.store.rglob("*") if path.is_file()]
                assert all(slot.key is None for slot in slots.all())
            starts = [event for event in events if event.kind is EventKind.RUN_STARTED]
            assert len(starts) <= 1

    def state(self) -> State:
        return self.world.running.agent.computation.lifecycle.state

    def settle(self) -> None:
        """Wait for the end of a run."""
        if self.state() is State.RUNNING:
            self.world.wait_for("results-ready")

    def session(self, party: str) -> Session:
        """The party's session; opened again when time has ended it."""
        found = self.sessions.get(party)
        if found is not None:
            try:
                found.status()
            except Refusal:
                found.close()
                found = None
        if found is None:
            found = self.sessions[party] = self._around.enter_context(self.world.session(party))
        return found

    def received(self, asset: str) -> int:
        return self.world.running.agent.computation.store.progress(asset).offset

    def part(self, asset: str, at: int | None, count: int) -> bytes:
        """Bytes of an asset from an offset; None for what the agent does not have."""
        at = self.received(asset) if at is None else at
        return FILES[asset][at : at + count]

    def send(self, session: Session, asset: str, data: bytes, at: int | None) -> agent_pb2.UploadProgress:
        given = self.world.consent(session, asset, KEYS[PROVIDERS[asset]])
        start = agent_pb2.UploadStart(asset=asset, consent=given, offset=self.received(asset) if at is None else at)
        return session.upload_asset(start, lambda: pieces(data), len(data))

    def told(self, call):
        """What a call returns; None when the party is told why it is refused."""
        try:
            return call()
        except CloisterError as error:
            assert error.message.endswith("."), error.message
            assert "failed inside the agent" not in error.message
            return None

    def teardown(self) -> None:
        self._around.close()


TestRunStates = RunStates.TestCase
TestRunStates.settings = settings(
    max_examples=15,
    stateful_step_count=14,
    # A shorter example is worth less than the minutes that it takes to find it.
    phases=[Phase.generate],
)
