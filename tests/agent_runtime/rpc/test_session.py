"""Opening and binding of sessions, and their limits."""

import hashlib
import secrets
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from cloister import endpoint
from cloister.attestation.binding import SessionBinding
from cloister.attestation.evidence import Evidence
from cloister.client.connection import connection
from cloister.client.connection.binding import bind
from cloister.client.connection.opening import Opening, Target, attest
from cloister.client.connection.session import Bound, Session
from cloister.client.files.keys import KeyType, generate_key
from cloister.protocol import events, hpkekey, transcript
from cloister.v1 import agent_pb2, agent_pb2_grpc
from tests.agent_fixture import running_agent
from tests.agent_runtime.world import DATA, TRAIN, World, new_key, refused


def opened(world: World) -> Opening:
    """A session that is not bound yet."""
    return attest(Target(world.running.address, world.running.policy()))


def test_owner_receives_its_role(world: World) -> None:
    with world.session("owner") as session:
        assert session.bound == Bound(("owner",), ())


def test_members_receive_their_roles(world: World) -> None:
    world.submit()
    with world.session("lab") as session:
        assert session.bound.roles == ("algorithm-provider", "member", "result-consumer")
        assert session.bound.parties == ("lab",)


def test_unknown_key_is_refused(world: World) -> None:
    with refused("NOT_AUTHORIZED", state="Idle", key=world.keys["stranger"].id):
        world.session("stranger")
    world.submit()
    with refused("NOT_AUTHORIZED", state="ReceivingAssets"):
        world.session("stranger")


def test_a_session_is_bound_only_once(world: World) -> None:
    with opened(world) as opening:
        bind(opening, world.keys["owner"])
        with refused("SESSION_UNKNOWN"):
            bind(opening, world.keys["owner"])


def test_failed_bind_ends_the_session(world: World) -> None:
    with opened(world) as opening:
        with refused("NOT_AUTHORIZED"):
            bind(opening, world.keys["stranger"])
        with refused("SESSION_UNKNOWN"):
            bind(opening, world.keys["owner"])


def bind_with(opening: Opening, plaintext: agent_pb2.BindPlaintext, info: bytes) -> None:
    sealed = hpkekey.seal(opening.hpke_public_key, plaintext.SerializeToString(), info=info)
    request = agent_pb2.BindSessionRequest(session_id=opening.session_id, sealed=sealed)
    try:
        agent_pb2_grpc.AgentStub(opening.channel).BindSession(request)
    except grpc.RpcError as error:
        raise connection.refusal.translate(error, "binding", "here") from error


def test_a_signature_of_another_key_is_refused(world: World) -> None:
    owner, thief = world.keys["owner"], world.keys["stranger"]
    with opened(world) as opening:
        t, secret = opening.transcript(), secrets.token_bytes(32)
        signature = thief.sign(transcript.bind_digest(t, secret, owner.public))
        with refused("NOT_AUTHORIZED"):
            bind_with(opening, agent_pb2.BindPlaintext(secret=secret, party_key=owner.public, signature=signature), t)


def test_a_signature_over_another_opening_is_refused(world: World) -> None:
    owner = world.keys["owner"]
    with opened(world) as one, opened(world) as other:
        secret = secrets.token_bytes(32)
        signature = owner.sign(transcript.bind_digest(other.transcript(), secret, owner.public))
        plaintext = agent_pb2.BindPlaintext(secret=secret, party_key=owner.public, signature=signature)
        with refused("NOT_AUTHORIZED"):
            bind_with(one, plaintext, one.transcript())


def test_message_sealed_under_another_transcript_is_refused(world: World) -> None:
    with opened(world) as opening:
        plaintext = agent_pb2.BindPlaintext(secret=bytes(32), party_key=world.keys["owner"].public)
        with refused("MALFORMED"):
            bind_with(opening, plaintext, bytes(64))


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_secret_of_another_size_is_refused(world: World, secret: bytes) -> None:
    with opened(world) as opening:
        plaintext = agent_pb2.BindPlaintext(secret=secret, party_key=world.keys["owner"].public, signature=b"x")
        with refused("MALFORMED"):
            bind_with(opening, plaintext, opening.transcript())


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_nonce_of_another_size_is_refused(world: World, size: int) -> None:
    channel = endpoint.channel(endpoint.probe(world.running.address))
    with channel, pytest.raises(grpc.RpcError) as caught:
        agent_pb2_grpc.AgentStub(channel).OpenSession(agent_pb2.OpenSessionRequest(nonce=bytes(size)))
    with refused("MALFORMED"):
        raise connection.refusal.translate(caught.value, "opening", "here")


def test_a_session_opened_before_the_manifest_is_refused_after_it(world: World) -> None:
    before = world.session("owner")
    waiting = opened(world)
    digest = world.submit()
    with before, refused("MANIFEST_CHANGED", manifest=digest.hex()):
        before.status()
    with waiting, refused("MANIFEST_CHANGED"):
        bind(waiting, world.keys["owner"])


def test_following_events_ends_when_the_manifest_changes(world: World) -> None:
    with world.session("owner") as session:
        lines = session.events(0, follow=True)
        next(lines)
        world.submit()
        with refused("MANIFEST_CHANGED"):
            next(lines)


def test_evidence_names_the_manifest_once_it_is_submitted(world: World) -> None:
    with opened(world) as opening:
        assert opening.binding.manifest_digest is None
    digest = world.submit()
    with opened(world) as opening:
        assert opening.verdict.accepted
        assert opening.binding.manifest_digest == digest
        assert [entry.kind for entry in opening.evidence.runtime_log] == ["boot-configuration", "agent", "manifest"]


def test_evidence_covers_the_nonce_and_the_keys_in_use(world: World) -> None:
    seen = endpoint.probe(world.running.address)
    nonce = secrets.token_bytes(32)
    with endpoint.channel(seen) as channel:
        answer = agent_pb2_grpc.AgentStub(channel).OpenSession(agent_pb2.OpenSessionRequest(nonce=nonce))
    assert Evidence.parse(answer.evidence).binding == SessionBinding(
        nonce, seen.key_digest(), hashlib.sha256(answer.hpke_public_key).digest(), None
    )


def test_unbound_session_expires(world: World) -> None:
    with opened(world) as opening:
        world.running.clock.pass_time(Limits().pending_seconds + 1)
        with refused("SESSION_UNKNOWN"):
            bind(opening, world.keys["owner"])


def test_an_unused_session_ends(world: World) -> None:
    with world.session("owner") as session:
        session.status()
        world.running.clock.pass_time(Limits().session_idle_seconds + 1)
        world.running.agent.sweep()
        with refused("SESSION_UNKNOWN"):
            session.status()


def test_a_key_with_too_many_sessions_loses_its_longest_unused_one(world: World) -> None:
    first = world.session("owner")
    others = [world.session("owner") for _ in range(Limits().sessions_per_key)]
    with refused("SESSION_UNKNOWN"):
        first.status()
    for session in (first, *others):
        if session is not first:
            session.status()
        session.close()


def test_pending_sessions_beyond_the_limit_drop_the_oldest(tmp_path: Path) -> None:
    owner = new_key()
    with running_agent(tmp_path, (owner.id,), limits=Limits(pending_sessions=2)) as running:
        world = World(running, {"owner": owner}, {"algorithm": TRAIN, "h1": DATA})
        with endpoint.channel(endpoint.probe(running.address)) as channel, opened(world) as oldest:
            stub = agent_pb2_grpc.AgentStub(channel)
            request = agent_pb2.OpenSessionRequest(nonce=bytes(32))
            for _ in range(5):
                stub.OpenSession(request)
            with refused("SESSION_UNKNOWN"):
                bind(oldest, owner)
        assert world.session("owner").bound.roles == ("owner",)
        assert len(running.agent.sessions._pending) == 1


def test_evidence_queue_is_bounded(tmp_path: Path) -> None:
    limits = Limits(quote_queue=0)
    with running_agent(tmp_path, (new_key().id,), limits=limits) as running:
        attester = running.agent.computation._context.attester
        with endpoint.channel(endpoint.probe(running.address)) as channel:
            stub = agent_pb2_grpc.AgentStub(channel)
            with attester._queue.turn(), pytest.raises(grpc.RpcError) as caught:
                stub.OpenSession(agent_pb2.OpenSessionRequest(nonce=bytes(32)))
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            stub.OpenSession(agent_pb2.OpenSessionRequest(nonce=bytes(32)))


def test_full_evidence_queue_does_not_keep_newcomers_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The call that waits longest is dropped: here the stranger that fills the queue.
    monkeypatch.setattr(secrets, "randbelow", lambda count: 0)
    owner = new_key()
    with running_agent(tmp_path, (owner.id,), limits=Limits(quote_queue=1)) as running:
        world = World(running, {"owner": owner}, {})
        queue = running.agent.computation._context.attester._queue
        refusals: list[CallRefusal] = []

        def stranger() -> None:
            try:
                with queue.turn():
                    pass
            except CallRefusal as refusal:
                refusals.append(refusal)

        with queue.turn():
            waiting = threading.Thread(target=stranger)
            waiting.start()
            while not queue._waiting:
                pass
            bound: list[Session] = []
            party = threading.Thread(target=lambda: bound.append(world.session("owner")))
            party.start()
            waiting.join()
        party.join()
        assert [refusal.reason for refusal in refusals] == [Reason.BUSY]
        with bound[0] as session:
            assert session.status().state == "Idle"


def test_a_session_outlives_its_idle_connection(tmp_path: Path) -> None:
    owner = new_key()
    assert Limits().idle_connection_seconds <= 30
    with (
        running_agent(tmp_path, (owner.id,), limits=Limits(idle_connection_seconds=1)) as running,
        World(running, {"owner": owner}, {}).session("owner") as session,
    ):
        closed = threading.Event()
        session.calls.channel.subscribe(
            lambda state: closed.set() if state is grpc.ChannelConnectivity.IDLE else None, try_to_connect=False
        )
        assert closed.wait(30)
        assert session.status().state == "Idle"
        assert session.status().state == "Idle"


def test_a_connection_on_which_events_are_followed_is_not_idle(tmp_path: Path) -> None:
    owner = new_key()
    with running_agent(tmp_path, (owner.id,), limits=Limits(idle_connection_seconds=1)) as running:
        world = World(running, {"owner": owner}, {})
        with world.session("owner") as idle, world.session("owner") as session:
            closed = threading.Event()
            lines = session.events(0, follow=True)
            next(lines)
            idle.calls.channel.subscribe(
                lambda state: closed.set() if state is grpc.ChannelConnectivity.IDLE else None, try_to_connect=False
            )
            assert closed.wait(30)
            running.agent.log.append(events.EventKind.EXPIRED, events.State.COMPLETE)
            assert b"results-expired" in next(lines)


def test_a_key_is_judged_by_the_manifest_that_is_being_submitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    computation = world.running.agent.computation
    measured, judged = threading.Event(), threading.Event()
    declare = computation.store.declare

    def declare_slowly(*args: Any) -> None:
        measured.set()
        assert not judged.wait(0.2)
        declare(*args)

    monkeypatch.setattr(computation.store, "declare", declare_slowly)
    submitting = threading.Thread(target=world.submit)
    submitting.start()
    assert measured.wait(30)
    assert computation.identify(world.keys["lab"].public).parties == ("lab",)
    judged.set()
    submitting.join()


def test_many_open_sessions_at_the_same_time(world: World) -> None:
    verdicts: list[bool] = []

    def attest() -> None:
        with opened(world) as opening:
            verdicts.append(opening.verdict.accepted)

    threads = [threading.Thread(target=attest) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 8


@pytest.mark.parametrize("kind", KeyType)
def test_a_party_may_have_a_key_of_every_kind(tmp_path: Path, kind: KeyType) -> None:
    owner = generate_key(tmp_path / "owner.pem", kind)
    with running_agent(tmp_path / "machine", (owner.id,)) as running:
        world = World(running, {"owner": owner, **{name: new_key() for name in ("lab", "hospital", "reader")}}, {})
        with world.session("owner") as session:
            assert session.status().state == "Idle"
