"""Sealed calls: changed, repeated and missing frames, limits, and silent peers."""

import errno
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from agent_runtime.limits import Limits
from cloister import endpoint
from cloister.client.connection import refusal
from cloister.client.connection.session import Session
from cloister.errors import RefusedError
from cloister.protocol.sealing import Sealer, Sender
from cloister.v1 import agent_pb2
from tests.agent_fixture import running_agent
from tests.agent_runtime.world import DATA, TRAIN, World, new_key, refused


class Wire:
    """Makes frames directly, with the keys of a bound session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def frame(self, method: str, stream: int, message: Any, *, last: bool = True, **changes: Any) -> agent_pb2.Sealed:
        """The first frame of a stream; ``changes`` replace its fields."""
        sealer = Sealer(self._session.calls.keys, Sender.CLIENT, method, stream)
        counter, ciphertext = sealer.seal(message.SerializeToString(), last=last)
        fields = {
            "session_id": self._session.calls.session_id,
            "stream": stream,
            "counter": counter,
            "last": last,
            "ciphertext": ciphertext,
        } | changes
        return agent_pb2.Sealed(**fields)

    def call(self, method: str, frames: Iterable[agent_pb2.Sealed]) -> list[agent_pb2.Sealed]:
        """Send frames as a stream, for any method; returns the answer's frames."""
        path = f"/cloister.v1.Agent/{method}"
        call = self._session.calls.channel.stream_stream(
            path, agent_pb2.Sealed.SerializeToString, agent_pb2.Sealed.FromString
        )
        try:
            return list(call(iter(frames), timeout=30))
        except grpc.RpcError as error:
            raise refusal.translate(error, "calling", "here") from error

    def status(self, stream: int, **changes: Any) -> list[agent_pb2.Sealed]:
        """Ask for the status."""
        return self.call("Status", [self.frame("Status", stream, agent_pb2.StatusRequest(), **changes)])


@pytest.fixture
def wire(world: World) -> Iterator[Wire]:
    """A session of the owner."""
    with world.session("owner") as session:
        yield Wire(session)


@pytest.mark.parametrize("stream", [7, 6, 1])
def test_stream_ids_must_increase(wire: Wire, stream: int) -> None:
    wire.status(7)
    with refused("STREAM_REPEATED"):
        wire.status(stream)
    wire.status(8)


def test_a_replayed_call_is_refused(wire: Wire) -> None:
    frame = wire.frame("Status", 3, agent_pb2.StatusRequest())
    wire.call("Status", [frame])
    with refused("STREAM_REPEATED"):
        wire.call("Status", [frame])


def test_a_flipped_byte_is_refused(wire: Wire) -> None:
    frame = wire.frame("Status", 1, agent_pb2.StatusRequest())
    changed = bytearray(frame.ciphertext)
    changed[0] ^= 1
    with refused("FRAME"):
        wire.status(1, ciphertext=bytes(changed))


def test_frame_that_cannot_be_unsealed_uses_no_stream_id(wire: Wire) -> None:
    with refused("FRAME"):
        wire.status(2**64 - 1, ciphertext=bytes(32))
    wire.status(1)


def test_a_frame_of_another_method_is_refused(wire: Wire) -> None:
    with refused("FRAME"):
        wire.call("Stop", [wire.frame("Status", 1, agent_pb2.StopRequest())])


@pytest.mark.parametrize("changes", [{"counter": 1}, {"last": False}, {"stream": 9}])
def test_changed_frame_header_is_refused(wire: Wire, changes: dict[str, Any]) -> None:
    frame = wire.frame("Status", 1, agent_pb2.StatusRequest())
    for name, value in changes.items():
        setattr(frame, name, value)
    with refused("FRAME"):
        wire.call("Status", [frame])


def test_unary_call_without_last_frame_is_refused(wire: Wire) -> None:
    with refused("FRAME"):
        wire.call("Status", [wire.frame("Status", 1, agent_pb2.StatusRequest(), last=False)])


def test_unknown_session_is_refused(wire: Wire) -> None:
    with refused("SESSION_UNKNOWN"):
        wire.status(1, session_id="0" * 32)


def upload_frames(world: World, session: Session) -> list[agent_pb2.Sealed]:
    """A complete upload of h1 in two chunks, on stream 1."""
    start = agent_pb2.UploadStart(asset="h1", consent=world.consent(session, "h1", world.keys["hospital"]))
    data = world.files["h1"]
    sealer = Sealer(session.calls.keys, Sender.CLIENT, "UploadAsset", 1)
    frames = []
    for plaintext in (start.SerializeToString(), data[:100], data[100:], b""):
        counter, ciphertext = sealer.seal(plaintext, last=not plaintext)
        frames.append(
            agent_pb2.Sealed(
                session_id=session.calls.session_id,
                stream=1,
                counter=counter,
                last=not plaintext,
                ciphertext=ciphertext,
            )
        )
    return frames


@pytest.mark.parametrize(
    "order",
    [[0, 2, 1, 3], [0, 1, 1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1]],
    ids=["swapped", "repeated", "first lost", "second lost", "truncated"],
)
def test_frames_out_of_order_end_the_stream(world: World, order: list[int]) -> None:
    world.submit()
    with world.session("hospital") as session:
        frames = upload_frames(world, session)
        with refused("FRAME"):
            Wire(session).call("UploadAsset", [frames[index] for index in order])
    with world.session("hospital") as session:
        offset = session.upload_offset("h1")
        assert (offset.offset, offset.complete) in ((0, False), (100, False))


def test_upload_frame_without_data_is_refused(world: World) -> None:
    world.submit()
    with world.session("hospital") as session:
        start, *_ = upload_frames(world, session)
        sealer = Sealer(session.calls.keys, Sender.CLIENT, "UploadAsset", 1)
        sealer.seal(start.SerializeToString(), last=False)
        counter, ciphertext = sealer.seal(b"", last=False)
        empty = agent_pb2.Sealed(session_id=session.calls.session_id, stream=1, counter=counter, ciphertext=ciphertext)
        with refused("MALFORMED"):
            Wire(session).call("UploadAsset", [start, empty])


def test_the_answer_is_sealed_with_the_agents_key_and_the_same_stream(wire: Wire) -> None:
    (answer,) = wire.status(5)
    assert (answer.stream, answer.counter, answer.last) == (5, 0, True)
    assert b"Idle" not in answer.ciphertext


def test_malformed_message_is_refused(wire: Wire) -> None:
    class Junk:
        def SerializeToString(self) -> bytes:
            return b"\xff\xff\xff"

    with refused("MALFORMED"):
        wire.call("SubmitManifest", [wire.frame("SubmitManifest", 1, Junk())])


def test_internal_error_reveals_no_details(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.running.agent.computation, "expire", fail)
    with pytest.raises(refusal.Refusal) as caught:
        wire.status(1)
    assert caught.value.reason == "INTERNAL"
    assert "secret" not in str(caught.value)
    line = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert (line["event"], line["values"]["where"]) == ("fault", "Status")
    assert re.fullmatch(r"RuntimeError at [\w.]+:\d+", line["values"]["fault"])


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_store_is_told_in_a_sentence(
    world: World, wire: Wire, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], number: int
) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number), "/run/cloister/assets/h1")

    monkeypatch.setattr(world.running.agent.computation, "expire", fail)
    with refused("STORE_FULL"):
        wire.status(1)
    logged = [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]
    assert logged[-2:] == ["store-full", "call-refused"]


def test_a_frame_that_is_too_large_is_refused(wire: Wire) -> None:
    with pytest.raises(Exception, match="larger than max"):
        wire.status(1, ciphertext=bytes(2 * 1024 * 1024))
    wire.status(2)


def test_an_unknown_call_is_unimplemented(wire: Wire) -> None:
    with pytest.raises(Exception, match="Method not found"):
        wire.call("Shell", [wire.frame("Shell", 1, agent_pb2.StatusRequest())])


def test_a_call_that_sends_nothing_is_dropped(tmp_path: Path) -> None:
    limits = Limits(calls=2, long_calls=1, first_frame_seconds=0.05)
    with (
        running_agent(tmp_path, (new_key().id,), limits=limits) as running,
        endpoint.channel(endpoint.probe(running.address)) as channel,
    ):
        silent = channel.stream_stream("/cloister.v1.Agent/OpenSession")
        never = _Never()
        for call in [silent(never, timeout=30) for _ in range(2)]:
            with pytest.raises(grpc.RpcError) as caught:
                next(call)
            assert caught.value.code() is grpc.StatusCode.CANCELLED
        never.end()


def test_silent_calls_do_not_block_others(tmp_path: Path) -> None:
    owner = new_key()
    limits = Limits(calls=8, waiting_calls=4, long_calls=1, first_frame_seconds=600)
    with running_agent(tmp_path, (owner.id,), limits=limits) as running:
        world = World(running, {"owner": owner}, {})
        never = _Never()
        with endpoint.channel(endpoint.probe(running.address)) as channel:
            silent = channel.stream_stream("/cloister.v1.Agent/OpenSession")
            dropped = threading.Event()
            calls = [silent(never, timeout=600) for _ in range(5)]
            for call in calls:
                if not call.add_callback(dropped.set):  # it has already ended
                    dropped.set()
            assert dropped.wait(30)
            with world.session("owner") as session:
                assert session.status().state == "Idle"
            for call in calls:
                call.cancel()
        never.end()


class _Never:
    """A request stream that sends nothing until it is ended."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def __iter__(self) -> "_Never":
        return self

    def __next__(self) -> Any:
        self._ended.wait()
        raise StopIteration

    def end(self) -> None:
        self._ended.set()


def test_calls_of_one_key_are_limited_until_they_end(tmp_path: Path) -> None:
    owner = new_key()
    with running_agent(tmp_path, (owner.id,), limits=Limits(calls_per_key=2)) as running:
        world = World(running, {"owner": owner}, {})
        with world.session("owner") as session:
            followers = [session.events(0, follow=True) for _ in range(2)]
            for follower in followers:
                next(follower)
            with refused("BUSY"):
                session.status()
            for follower in followers:
                follower.close()
            # The end of a call reaches the agent a moment after it was cancelled here.
            for _ in range(200):
                try:
                    session.status()
                except refusal.Refusal:
                    continue
                break
            session.status()


def test_followers_of_one_key_are_limited(world: World) -> None:
    with world.session("owner") as session, world.session("owner") as other:
        followers = [session.events(0, follow=True) for _ in range(4)]
        for follower in followers:
            next(follower)
        with refused("BUSY"):
            next(other.events(0, follow=True))
        assert len(list(other.events(0, follow=False))) == 1
        followers.pop().close()
        for _ in range(200):
            try:
                next(other.events(0, follow=True))
            except refusal.Refusal:
                continue
            break
        else:
            raise AssertionError("a follower that ended still counts")
        for follower in followers:
            follower.close()


def test_silent_upload_is_dropped_and_can_be_resumed(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    with running_agent(tmp_path, (keys["owner"].id,), limits=Limits(idle_stream_seconds=0.1)) as running:
        world = World(running, keys, {"algorithm": TRAIN, "h1": DATA})
        world.submit()
        with world.session("hospital") as session:
            frames = _ThenNothing(upload_frames(world, session)[:2])
            with pytest.raises(RefusedError):
                Wire(session).call("UploadAsset", frames)
            frames.end()
        assert world.upload("hospital", "h1", offset=100).complete


def test_download_that_reads_nothing_is_dropped(tmp_path: Path) -> None:
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    algorithm = b"open('results/a', 'wb').write(bytes(2**24))"
    with running_agent(tmp_path, (keys["owner"].id,), limits=Limits(idle_stream_seconds=0.1)) as running:
        world = World(running, keys, {"algorithm": algorithm, "h1": DATA})
        world.submit(results__max=1 << 25)
        world.upload_all()
        world.wait_for("results-ready")
        with world.session("lab") as session:
            request = Wire(session).frame("FetchResult", 1, agent_pb2.FetchResultRequest(consumer="lab"))
            call = session.calls.channel.unary_stream("/cloister.v1.Agent/FetchResult")(request.SerializeToString())
            call.initial_metadata()
            bound = running.agent.sessions.find(session.calls.session_id)
            while bound.calls:
                pass
            # The data in gRPC's window can still be read; the rest was never sent.
            with pytest.raises(grpc.RpcError) as caught:
                list(call)
            assert caught.value.code() is grpc.StatusCode.CANCELLED


class _ThenNothing(_Never):
    """Some frames, then nothing."""

    def __init__(self, frames: list[agent_pb2.Sealed]) -> None:
        super().__init__()
        self._frames = iter(frames)

    def __next__(self) -> Any:
        frame = next(self._frames, None)
        return super().__next__() if frame is None else frame
