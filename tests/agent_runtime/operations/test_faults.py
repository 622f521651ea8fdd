"""What a fault of the machine does: health and notices say it, parties get one sentence, and the agent goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from agent_runtime.__main__ import end_when_told
from agent_runtime.errors import Reason
from agent_runtime.runner.protocol import RunOutcome
from cloister import endpoint
from cloister.client.computation.status import ComputationStatus
from cloister.client.connection import refusal
from cloister.client.connection.refusal import ConnectionLost, Refusal
from cloister.errors import CloisterError
from cloister.v1 import agent_pb2, health_pb2, health_pb2_grpc
from tests.agent_runtime.operations import full_store
from tests.agent_runtime.world import World

SERVICES = ("", "cloister.v1.Agent", "cloister.evidence", "cloister.run")
LOCKOUT, DEFAULT_TRIES = 0, 32


def health(world: World) -> dict[str, bool]:
    statuses = health_pb2.HealthCheckResponse
    with endpoint.channel(endpoint.probe(world.running.address)) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        return {
            name: check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == statuses.SERVING
            for name in SERVICES
        }


def notices(world: World) -> list[str]:
    with world.session("owner") as session:
        found = ComputationStatus(session.status())
    lines = [line for line in found.lines() if line.startswith("Notice")]
    assert [line.removeprefix("Notice    ") for line in lines] == found.value()["notices"]
    return [*found.answer.notices]


def set_tries(world: World, tries: int) -> None:
    """TPM2_DictionaryAttackParameters; with 0 tries the TPM is in lockout (TPM 2.0 part 1, "Dictionary Attack")."""
    session = bytes.fromhex("00000009400000090000000000")
    body = bytes.fromhex("4000000A") + session + tries.to_bytes(4) + (1000).to_bytes(4) + (1000).to_bytes(4)
    command = bytes.fromhex("8002") + (10 + len(body)).to_bytes(4) + bytes.fromhex("0000013A") + body
    assert world.running.tpm(command)[6:10] == bytes(4)


@pytest.fixture
def locked_out(world: World) -> Iterator[World]:
    set_tries(world, LOCKOUT)
    yield world
    set_tries(world, DEFAULT_TRIES)


def test_health_of_an_agent_without_faults(world: World) -> None:
    idle = dict.fromkeys(SERVICES, True) | {"cloister.run": False}
    assert health(world) == idle
    world.submit()
    assert health(world) == idle | {"cloister.run": True}
    assert notices(world) == []


def test_lockout_of_the_tpm_is_told_and_passes(world: World) -> None:
    with world.session("owner") as session:
        set_tries(world, LOCKOUT)
        with pytest.raises(Refusal) as caught:
            world.session("owner")
        assert caught.value.reason == "NO_EVIDENCE"
        sentence = caught.value.message
        assert sentence.startswith("The machine cannot make evidence: its TPM is in lockout and refuses TPM2_Quote")
        assert [*session.status().notices] == [sentence]
        assert health(world) == {name: name == "cloister.v1.Agent" for name in SERVICES}
        (*_, line) = session.metrics(log=True).log.splitlines()
        assert json.loads(line)["event"] == "call-refused"
        set_tries(world, DEFAULT_TRIES)
        assert notices(world) == []
        assert health(world)["cloister.evidence"]
        events = [json.loads(line)["event"] for line in session.metrics(log=True).log.splitlines()]
    assert events == ["agent-started", "no-evidence", "call-refused", "evidence-again"]


def test_result_without_evidence_fails_for_that_reason(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The TPM goes into lockout while the algorithm runs: the result is not accepted without evidence."""
    run = world.running.executor.run

    def run_then_lock(job: object) -> RunOutcome:
        outcome = run(job)  # ty: ignore[invalid-argument-type]
        set_tries(world, LOCKOUT)
        return outcome

    monkeypatch.setattr(world.running.executor, "run", run_then_lock)
    world.submit()
    with world.session("owner") as session:
        world.upload_all()
        (*_, last) = session.events(0, follow=True)
        set_tries(world, DEFAULT_TRIES)
    event = json.loads(last)["event"]
    assert (event["kind"], event["detail"]) == ("failed", {"reason": "NO_EVIDENCE"})


@pytest.mark.parametrize(("seconds", "words"), [(3 * 3600, "ahead by 3:00:00"), (-90, "back by 1:30")])
def test_moved_clock_is_told_and_changes_no_limit(world: World, seconds: int, words: str) -> None:
    world.submit()
    world.running.clock.moved = seconds
    (notice,) = notices(world)
    assert notice.startswith(f"The host set the machine's clock {words} before uptime ")
    assert notices(world) == [notice]
    world.upload_all()
    world.wait_for("results-ready")
    with world.session("owner") as session:
        events = [json.loads(line) for line in session.metrics(log=True).log.splitlines()]
    assert [(line["event"], line["values"]) for line in events[1:]] == [("clock-moved", {"seconds": str(seconds)})]


def test_slewed_clock_is_not_told(world: World) -> None:
    for _ in range(20):
        world.running.clock.moved += 4
        world.running.agent.sweep()
    assert notices(world) == []


def test_notices_are_bounded(world: World) -> None:
    for turn in range(40):
        world.running.clock.moved += 10 + turn
        world.running.agent.sweep()
    assert len(notices(world)) == 8


def test_full_store_is_told_and_the_upload_resumes(tmp_path: Path) -> None:
    """On a file system of 1 MiB, in a mount namespace of its own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, full_store.__file__, tmp_path]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60, env=os.environ)
    if b"unshare" in done.stderr and b"Operation not permitted" in done.stderr:
        pytest.skip("this host does not allow mount namespaces")
    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["reason"] == "STORE_FULL"
    assert said["message"] == "The machine has no room left for assets and results."
    assert 0 < said["offset"] < full_store.SIZE
    (notice,) = said["notices"]
    assert notice.startswith("The machine has room for ")
    assert said["complete"]


def test_stop_finishes_short_calls_and_ends_streams_with_a_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, inside, go = world.running.agent, threading.Event(), threading.Event()
    world.submit()
    expire = agent.computation.expire

    def wait_inside() -> None:
        inside.set()
        go.wait(30)
        expire()

    found: dict[str, object] = {}

    def note(name: str, call: object) -> None:
        try:
            found[name] = call()  # ty: ignore[call-non-callable]
        except CloisterError as error:
            found[name] = refusal.reason_of(error) or type(error).__name__

    with world.session("owner") as session, world.session("owner") as other, world.session("lab") as lab:
        follow = session.events(0, follow=True)
        next(follow)
        monkeypatch.setattr(agent.computation, "expire", wait_inside)
        status = threading.Thread(target=note, args=("status", lambda: other.status().state))
        status.start()
        inside.wait(30)
        stop = threading.Thread(target=agent.stop, args=(20.0,))
        stop.start()
        note("events", lambda: [*follow])
        go.set()
        for thread in (status, stop):
            thread.join()
        note("later", lab.status)
    assert found == {"status": "ReceivingAssets", "events": Reason.STOPPING, "later": ConnectionLost.__name__}


@pytest.mark.parametrize("silent", [True, False])
def test_upload_ends_at_its_next_frame_or_when_the_time_is_over(world: World, silent: bool) -> None:
    world.submit()
    agent = world.running.agent
    stop = threading.Thread(target=agent.stop, args=(0.1 if silent else 30.0,))
    with world.session("lab") as session:
        consent = world.consent(session, "algorithm", world.keys["lab"])

        def data() -> Iterator[bytes]:
            stop.start()
            agent.operations.stopping.wait(30)
            if silent:
                stop.join()
            yield world.files["algorithm"][:1]
            yield world.files["algorithm"][1:]

        with pytest.raises(CloisterError) as caught:
            start = agent_pb2.UploadStart(asset="algorithm", consent=consent)
            session.upload_asset(start, data, len(world.files["algorithm"]))
    stop.join()
    if not silent:
        assert refusal.reason_of(caught.value) == Reason.STOPPING
    assert world.running.agent.computation.store.progress("algorithm").offset <= 1


def test_sigterm_ends_the_wait(world: World) -> None:
    """As in the agent's process: one thread waits for the signal, and the main thread stops the agent."""
    agent = world.running.agent
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        told = threading.Thread(target=end_when_told, args=(agent,))
        told.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    signal.pthread_kill(told.ident or 0, signal.SIGTERM)
    agent.wait()
    told.join()
    agent.stop(5)
    with pytest.raises((CloisterError, grpc.RpcError)):
        health(world)
