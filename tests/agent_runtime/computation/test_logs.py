"""The algorithm's logs and the event log: who can read them, and when."""

import contextlib
import threading
from pathlib import Path

import pytest

from agent_runtime.limits import Limits
from agent_runtime.runner.client import RunHandle
from agent_runtime.runner.kept_output import live_part
from agent_runtime.runner.protocol import RunOutcome
from cloister.client.connection.refusal import ConnectionLost
from cloister.errors import CloisterError
from cloister.protocol import canonical
from cloister.v1.agent_pb2 import LogChunk, LogsRequest
from tests.agent_fixture import running_agent
from tests.agent_runtime.world import DATA, TRAIN, World, new_key, refused

TALK = b"import sys; print('hello'); print('oops', file=sys.stderr); open('results/a', 'w').write('x')"


def logs(world: World, name: str = "reader") -> tuple[bytes, bool]:
    with world.session(name) as session:
        chunks = list(session.logs())
    return b"".join(chunk.data for chunk in chunks), any(chunk.truncated for chunk in chunks)


def test_log_reader_sees_output_and_errors_after_the_run(world: World) -> None:
    world.files["algorithm"] = TALK
    world.submit()
    with world.session("reader") as session, refused("NOT_READY", state="ReceivingAssets"):
        list(session.logs())
    world.upload_all()
    world.wait_for("results-ready")
    assert logs(world) == (b"hello\noops\n", False)


@pytest.mark.parametrize("name", ["lab", "hospital", "owner"])
def test_other_parties_cannot_read_the_logs(world: World, name: str) -> None:
    world.files["algorithm"] = TALK
    world.submit()
    world.upload_all()
    world.wait_for("results-ready")
    with world.session(name) as session, refused("NOT_AUTHORIZED"):
        list(session.logs())


@pytest.mark.parametrize(("printed", "cut"), [(99, False), (100, False), (101, True), (100_000, True)])
def test_logs_are_truncated_at_the_manifests_limit(world: World, printed: int, cut: bool) -> None:
    world.files["algorithm"] = f"print('x' * {printed}, end=''); open('results/a', 'w').write('x')".encode()
    world.submit(logs__max=100)
    world.upload_all()
    world.wait_for("results-ready")
    assert logs(world) == (b"x" * min(printed, 100), cut)


def test_logs_of_a_failed_run_are_shown(world: World) -> None:
    world.files["algorithm"] = b"raise SystemExit('no convergence')"
    world.submit()
    world.upload_all()
    world.wait_for("failed")
    assert logs(world) == (b"no convergence\n", False)


def test_live_logs_are_shown_during_the_run(world: World) -> None:
    world.files["algorithm"] = b"print('begun')\nwhile True: pass"
    world.submit(logs__release="live")
    world.upload_all()
    while logs(world) != (b"begun\n", False):
        pass
    with world.session("owner") as session:
        session.stop()


SLOW = """\
import os, time
print("{says}", flush=True)
while not os.path.exists({signal!r}): time.sleep(0.01)
print("done")
open("results/{file}", "w").write("x")
"""
"""Goes on when a test makes the file ``signal``."""


def begin_slow(world: World, signal: Path, says: str = "begun", file: str = "a", **changes: object) -> None:
    world.files["algorithm"] = SLOW.format(signal=str(signal), says=says, file=file).encode()
    world.submit(**changes)
    world.upload_all()
    world.wait_for("run-started")


def test_live_output_reaches_a_reader_as_it_comes(world: World, tmp_path: Path) -> None:
    signal = tmp_path / "signal"
    begin_slow(world, signal, logs__release="live")
    with world.session("reader") as session:
        chunks = session.logs(follow=True)
        assert next(chunks).data == b"begun\n"
        signal.touch()
        assert b"".join(chunk.data for chunk in chunks) == b"done\n"
        assert session.status().state == "ConsumingResults"


def test_reader_that_follows_before_the_run_waits_for_it(world: World, tmp_path: Path) -> None:
    world.files["algorithm"] = TALK
    world.submit(logs__release="live")
    with world.session("reader") as session:
        chunks = session.logs(follow=True)
        world.upload_all()
        assert b"".join(chunk.data for chunk in chunks) == b"hello\noops\n"


def test_follower_of_logs_that_are_released_at_the_end_gets_them_then(world: World, tmp_path: Path) -> None:
    signal = tmp_path / "signal"
    begin_slow(world, signal)
    with world.session("reader") as session:
        chunks = session.logs(follow=True)
        with pytest.raises(ConnectionLost):
            next(session.calls.stream("Logs", LogsRequest(follow=True), LogChunk, "reading", 0.5))
        signal.touch()
        assert b"".join(chunk.data for chunk in chunks) == b"begun\ndone\n"


def test_following_resumes_at_an_offset(world: World) -> None:
    world.files["algorithm"] = TALK
    world.submit()
    world.upload_all()
    world.wait_for("results-ready")
    with world.session("reader") as session:
        found = {offset: b"".join(chunk.data for chunk in session.logs(offset)) for offset in (6, 11, 12, 1 << 62)}
    assert found == {6: b"oops\n", 11: b"", 12: b"", 1 << 62: b""}


def test_following_ends_when_the_computation_is_stopped(world: World) -> None:
    world.files["algorithm"] = b"print('begun')\nwhile True: pass"
    world.submit(logs__release="live")
    world.upload_all()
    with world.session("reader") as session:
        chunks = session.logs(follow=True)
        assert next(chunks).data == b"begun\n"
        with world.session("owner") as owner:
            owner.stop()
        assert list(chunks) == []


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("release", ["live", "end"])
def test_end_of_a_stopped_runs_logs_is_shown_when_nothing_replaces_it_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str, follow: bool
) -> None:
    """A stop may come while the runner says why it does not accept the result."""
    ended, signal = threading.Event(), tmp_path / "signal"
    outcome = RunHandle.outcome

    def late(self: RunHandle) -> RunOutcome:
        found = outcome(self)
        ended.wait()
        return found

    monkeypatch.setattr(RunHandle, "outcome", late)
    begin_slow(world, signal, "x" * 9000, logs__release=release, logs__max=8192)
    output = world.running.executor.output
    while not output.exists() or output.stat().st_size <= 8192:
        pass
    with world.session("owner") as session:
        session.stop()
    computation = world.running.agent.computation
    got = bytearray()

    def read() -> None:
        with world.session("reader") as session:
            for chunk in session.logs(follow=follow):
                got.extend(chunk.data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while release == "live" and len(got) < live_part(8192):
            pass
        assert computation._run.writing
        assert len(got) == (live_part(8192) if release == "live" else 0)
    finally:
        ended.set()
        reader.join()
    assert bytes(got) == b"x" * 8192


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("release", ["live", "end"])
@pytest.mark.parametrize("name", ["owner", "lab", "hospital"])
def test_only_readers_get_output_in_any_state(
    world: World, tmp_path: Path, name: str, release: str, follow: bool
) -> None:
    signal = tmp_path / "signal"
    begin_slow(world, signal, logs__release=release)

    def is_refused() -> None:
        with world.session(name) as session:
            for offset in (0, 1, 1 << 40):
                with refused("NOT_AUTHORIZED"):
                    list(session.logs(offset, follow=follow))

    is_refused()
    signal.touch()
    world.wait_for("results-ready")
    is_refused()


def test_owner_is_not_a_reader_by_any_session_it_can_get(world: World, tmp_path: Path) -> None:
    early = world.session("owner")
    begin_slow(world, tmp_path / "signal", logs__release="live")
    with early, refused("MANIFEST_CHANGED"):
        list(early.logs(follow=True))
    with refused("NOT_AUTHORIZED"):
        world.session("stranger")
    with world.session("reader") as reader, world.session("owner") as owner:
        owner.calls.session_id, owner.calls.last_stream = reader.calls.session_id, 100
        with pytest.raises(CloisterError):
            list(owner.logs(follow=True))
        assert next(reader.logs(follow=True)).data == b"begun\n"


def test_events_and_status_are_the_same_whatever_a_live_algorithm_prints(world: World, tmp_path: Path) -> None:
    signal = tmp_path / "signal"
    begin_slow(world, signal, logs__release="live")
    with world.session("reader") as session:
        next(session.logs(follow=True))
    with world.session("owner") as session:
        status = session.status()
    assert (status.events, status.detail) == (7, "")
    assert all(b"begun" not in line for line in world.events("owner"))


def test_readers_never_get_more_than_the_manifest_says_in_both_looks_together(world: World, tmp_path: Path) -> None:
    """What the runner says about a result replaces no byte that was shown before."""
    signal = tmp_path / "signal"
    begin_slow(world, signal, "x" * 9000, "a\\nb", logs__release="live", logs__max=8192)
    with world.session("reader") as session:
        chunks = session.logs(follow=True)
        live = b""
        while len(live) < live_part(8192):
            live += next(chunks).data
        signal.touch()
        live += b"".join(chunk.data for chunk in chunks)
    whole, is_cut = logs(world)
    assert (len(whole), is_cut) == (8192, True)
    assert b"control character" in whole
    assert live == whole


def test_calls_that_follow_logs_count_like_those_that_follow_events(world: World) -> None:
    world.submit(logs__release="live")
    with world.session("reader") as session:
        followers = [session.events(0, follow=True) for _ in range(4)]
        for follower in followers:
            next(follower)
        with refused("BUSY"):
            next(session.logs(follow=True))
        for follower in followers:
            follower.close()


@pytest.mark.parametrize("call", ["events", "logs"])
def test_calls_that_follow_leave_room_for_the_uploads_that_they_wait_for(tmp_path: Path, call: str) -> None:
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    limits = Limits(long_calls=3, followers=2)
    with running_agent(tmp_path, (keys["owner"].id,), limits=limits) as running, contextlib.ExitStack() as stack:
        world = World(running, keys, {"algorithm": TRAIN, "h1": DATA})
        world.submit(logs__release="live")
        followed = [stack.enter_context(world.session(name)).events(0, follow=True) for name in ("owner", "lab")]
        for one in followed:
            next(one)
        with world.session("reader") as session, refused("BUSY"):
            next(session.events(0, follow=True) if call == "events" else session.logs(follow=True))
        world.upload_all()
        # The followers see what the uploads lead to.
        assert any(b"run-started" in line for line in followed[0])


def test_logs_released_at_the_end_are_not_shown_before(world: World) -> None:
    world.files["algorithm"] = b"print('begun')\nwhile True: pass"
    world.submit()
    world.upload_all()
    world.wait_for("run-started")
    with world.session("reader") as session, refused("NOT_READY", state="Running"):
        list(session.logs())


def test_events_are_followed_to_the_end_of_the_computation(world: World) -> None:
    world.submit()
    seen: list[str] = []

    def follow() -> None:
        with world.session("lab") as session:
            for line in session.events(0, follow=True):
                seen.append(canonical.parse(line, what="a line", limit=1 << 20)["event"]["kind"])

    thread = threading.Thread(target=follow)
    thread.start()
    with world.session("owner") as session:
        session.stop()
    thread.join()
    assert seen == ["agent-started", "manifest-accepted", "stopped"]


def test_events_are_read_from_a_sequence_number(world: World) -> None:
    world.submit()
    with world.session("lab") as session:
        lines = list(session.events(1, follow=False))
        assert [canonical.parse(line, what="a line", limit=1 << 20)["event"]["sequence"] for line in lines] == [1]
        assert list(session.events(2, follow=False)) == []


BAD = b"print('x' * 190)\nopen('results/a\\nb\\u202e', 'w').write('x')"


def test_log_readers_learn_which_result_file_broke_which_rule_and_events_do_not(world: World) -> None:
    world.files["algorithm"] = BAD
    world.submit(logs__max=210)
    world.upload_all()
    failed = world.wait_for("failed")
    text, is_cut = logs(world)
    why = '"results/a\\u000ab\\u202e" contains the control character U+000A.\n'
    assert text.decode().endswith(f"\nThe result cannot be accepted: {why}")
    assert (len(text), is_cut) == (210, True)
    assert failed["detail"] == {"reason": "RESULT_INVALID"}
    for line in world.events():
        assert b"results/" not in line
