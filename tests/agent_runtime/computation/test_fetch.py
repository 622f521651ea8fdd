"""Results: which runs have one, who can fetch it, how often and how long."""

import hashlib
import io
import threading
import zipfile

import pytest

from agent_runtime.computation.results import _SlotFile
from agent_runtime.runner.protocol import RunnerOperation
from cloister.client.connection.session import Session
from cloister.protocol import canonical, receipt, slot
from tests.agent_runtime.world import World, refused


def run(world: World, algorithm: bytes | None = None, **changes: object) -> None:
    """Submit, upload everything and wait for the end of the run."""
    if algorithm is not None:
        world.files["algorithm"] = algorithm
    world.submit(**changes)
    world.upload_all()


def failure(world: World) -> str:
    return str(world.wait_for("failed")["detail"]["reason"])


def fetch(session: Session, name: str) -> bytes:
    with session.fetch_result(name, 0, 1 << 22) as (_, pieces):
        return b"".join(pieces)


def release(session: Session, name: str, ciphertext: bytes) -> bytes:
    return session.release_result(name, hashlib.sha256(ciphertext).digest())


@pytest.fixture
def ready(world: World) -> World:
    """A machine whose results are ready."""
    run(world)
    world.wait_for("results-ready")
    return world


def test_consumed_result_is_refused(ready: World) -> None:
    with ready.session("lab") as session:
        release(session, "lab", fetch(session, "lab"))
        at = next(one.consumed_at for one in session.status().results if one.consumer == "lab")
    consumed = ready.wait_for("result-consumed")
    assert (consumed["time"], consumed["actor"]) == (at, ready.keys["lab"].id)
    with ready.session("lab") as session:
        with refused("CONSUMED", consumed_at=at):
            fetch(session, "lab")
        with refused("CONSUMED", consumed_at=at):
            session.release_result("lab", bytes(32))


def test_key_is_repeated_only_in_the_session_that_received_it(ready: World) -> None:
    with ready.session("lab") as session, ready.session("lab") as other:
        ciphertext = fetch(session, "lab")
        assert release(session, "lab", ciphertext) == release(session, "lab", ciphertext)
        with refused("CONSUMED"):
            release(other, "lab", ciphertext)


def test_last_consumers_key_is_repeated_after_completion(ready: World) -> None:
    for name in ("lab", "hospital"):
        with ready.session(name) as session:
            ciphertext = fetch(session, name)
            key = release(session, name, ciphertext)
            assert release(session, name, ciphertext) == key
            state = session.status().state
    assert state == "Complete"
    with ready.session("hospital") as session, refused("CONSUMED"):
        fetch(session, "hospital")


def test_each_consumer_has_its_own_ciphertext(ready: World) -> None:
    with ready.session("lab") as lab, ready.session("hospital") as hospital:
        assert fetch(lab, "lab") != fetch(hospital, "hospital")


def test_a_wrong_digest_releases_nothing(ready: World) -> None:
    with ready.session("lab") as session:
        ciphertext = fetch(session, "lab")
        for digest in (b"", bytes(32), hashlib.sha256(ciphertext[:-1]).digest()):
            with refused("DIGEST_OF_CIPHERTEXT"):
                session.release_result("lab", digest)
        assert release(session, "lab", ciphertext)


@pytest.mark.parametrize("name", ["hospital", "reader", "owner"])
def test_only_its_consumer_can_fetch_a_slot(ready: World, name: str) -> None:
    with ready.session(name) as session:
        with refused("NOT_AUTHORIZED"):
            fetch(session, "lab")
        with refused("NOT_AUTHORIZED"):
            session.release_result("lab", bytes(32))


def test_download_can_be_resumed(ready: World) -> None:
    with ready.session("lab") as session:
        whole = fetch(session, "lab")
    with ready.session("lab") as session:
        for offset in (1000, len(whole)):
            with session.fetch_result("lab", offset, 1 << 22) as (size, pieces):
                assert size == len(whole)
                assert b"".join(pieces) == whole[offset:]
        with refused("MALFORMED"), session.fetch_result("lab", len(whole) + 1, 1 << 22):
            pass


def test_there_is_no_result_before_the_run(world: World) -> None:
    world.submit()
    with world.session("lab") as session:
        with refused("NOT_READY", state="ReceivingAssets"):
            fetch(session, "lab")
        with refused("NOT_READY"):
            session.proof()


def test_results_expire_by_the_machines_own_clock(ready: World) -> None:
    with ready.session("lab") as session:
        release(session, "lab", fetch(session, "lab"))
    ready.running.clock.pass_time(3600)
    with ready.session("hospital") as session:
        with refused("EXPIRED"):
            fetch(session, "hospital")
        status = session.status()
        assert (status.state, status.detail) == ("Complete", "EXPIRED")
    with ready.session("lab") as session, refused("CONSUMED"):
        fetch(session, "lab")
    kinds = [canonical.parse(line, what="a line", limit=1 << 20)["event"]["kind"] for line in ready.events()]
    assert kinds[-3:] == ["result-consumed", "results-expired", "completed"]


def test_results_do_not_expire_early(ready: World) -> None:
    ready.running.clock.pass_time(3500)
    ready.running.agent.sweep()
    with ready.session("lab") as session:
        assert fetch(session, "lab")


def test_no_data_is_left_after_the_last_release(ready: World) -> None:
    for name in ("lab", "hospital"):
        with ready.session(name) as session:
            release(session, name, fetch(session, name))
    left = [path for path in ready.running.config.store.rglob("*") if path.is_file()]
    assert left == []


def test_assets_are_wiped_when_results_are_ready(ready: World) -> None:
    left = sorted(path.name for path in ready.running.config.store.rglob("*") if path.is_file())
    assert left == ["slot-0", "slot-1"]


def test_consumers_get_the_receipt_and_others_do_not(ready: World) -> None:
    """A receipt names the result's files, and the algorithm chose their names."""
    with ready.session("lab") as session:
        envelope, evidence = session.proof()
    key = ready.running.agent.computation._context.attester.event_log_key
    payload = receipt.open_envelope(envelope, key)
    assert ready.wait_for("results-ready")["detail"] == {"receipt": hashlib.sha256(payload).hexdigest()}
    assert evidence
    for other in ("owner", "reader"):
        with ready.session(other) as session, refused("NOT_AUTHORIZED"):
            session.proof()


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        (b"raise SystemExit(3)", "EXIT_STATUS"),
        (b"raise SystemExit(125)", "EXIT_STATUS"),
        (b"pass", "NO_RESULT"),
        (b"import os; os.mkdir('results/empty')", "NO_RESULT"),
        (b"open('results/a', 'wb').write(bytes(2**20 + 1))", "RESULT_LIMIT"),
        (b"import os; os.symlink('/etc/passwd', 'results/a')", "RESULT_INVALID"),
        (b"import os; open('results/b', 'w').close(); os.symlink('..', 'results/a')", "RESULT_INVALID"),
        (b"import os; os.mkfifo('results/a')", "RESULT_INVALID"),
        (b"open('results/a\\nb', 'w').close()", "RESULT_INVALID"),
        (b"open('results/cloister', 'w').close()", "RESULT_INVALID"),
        (b"import os; os.makedirs('results/' + '/'.join('d' * 40)); open('results/a', 'w')", "RESULT_INVALID"),
    ],
)
def test_run_without_a_valid_result_fails_with_its_outcome(world: World, algorithm: bytes, reason: str) -> None:
    run(world, algorithm)
    assert failure(world) == reason
    with world.session("lab") as session:
        assert session.status().state == "Failed"
        with refused("NOT_READY", state="Failed"):
            fetch(session, "lab")


def test_a_run_is_killed_at_its_time_limit(world: World) -> None:
    run(world, b"while True: pass", limits__time=1)
    assert failure(world) == "TIME_LIMIT"


def test_an_algorithm_may_hide_its_results_from_itself(world: World) -> None:
    run(world, b"import os; open('results/a', 'w').write('x'); os.chmod('results/a', 0); os.chmod('results', 0o700)")
    world.wait_for("results-ready")


def test_the_owner_stops_a_run(world: World) -> None:
    run(world, b"while True: pass")
    world.wait_for("run-started")
    with world.session("owner") as session:
        session.stop()
        assert session.status().state == "Stopped"
        with refused("ALREADY_ENDED", state="Stopped"):
            session.stop()
    world.running.executor.cleaned.wait()
    kinds = [canonical.parse(line, what="a line", limit=1 << 20)["event"]["kind"] for line in world.events()]
    assert kinds[-2:] == ["run-started", "stopped"]


def test_failed_wipe_is_recorded_and_powers_off(world: World) -> None:
    world.submit()
    (world.running.config.store / "datasets" / "h1.csv" / "stays").mkdir(parents=True)
    with world.session("owner") as session:
        session.stop()
    *_, last = [canonical.parse(line, what="a line", limit=1 << 20)["event"] for line in world.events("owner")]
    assert (last["kind"], last["detail"]) == ("stopped", {"wipe": "failed"})
    assert world.running.rebooted.wait(30)
    assert world.running.ended == [RunnerOperation.POWER_OFF]


def test_stopping_wipes_results(ready: World) -> None:
    with ready.session("owner") as session:
        session.stop()
    assert [path for path in ready.running.config.store.rglob("*") if path.is_file()] == []
    with ready.session("lab") as session, refused("NOT_READY", state="Stopped"):
        fetch(session, "lab")


def test_a_stop_while_results_are_encrypted_deletes_them_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when all of them were written, which takes minutes for large ones."""
    inside, go = threading.Event(), threading.Event()
    write = _SlotFile.write

    def wait_inside(file: _SlotFile, data: bytes) -> int:
        inside.set()
        go.wait(30)
        return write(file, data)

    monkeypatch.setattr(_SlotFile, "write", wait_inside)
    run(world)
    assert inside.wait(30)
    with world.session("owner") as session:
        session.stop()
    assert world.running.executor.cleaned.wait(30)
    assert [path for path in world.running.config.store.rglob("*") if path.is_file()] == []
    go.set()
    for thread in [one for one in threading.enumerate() if one.name == "run"]:
        thread.join()
    assert [path for path in world.running.config.store.rglob("*") if path.is_file()] == []
    assert [slot for slot in world.running.agent.computation.slots.all() if slot.key is not None] == []
    assert "fault" not in world.running.agent.operations.journal.text()


@pytest.mark.parametrize("name", ["lab", "hospital", "reader"])
def test_only_an_owner_stops_and_resets(ready: World, name: str) -> None:
    with ready.session(name) as session:
        with refused("NOT_AUTHORIZED"):
            session.stop()
        with refused("NOT_AUTHORIZED"):
            session.reset()
    assert ready.running.ended == []


def test_a_stop_without_a_manifest_is_refused(world: World) -> None:
    with world.session("owner") as session, refused("NOT_READY"):
        session.stop()


def test_reset_wipes_answers_and_reboots(ready: World) -> None:
    with ready.session("owner") as session:
        session.reset()
    assert ready.running.rebooted.wait(30)
    assert ready.running.ended == ["reboot"]
    assert [path for path in ready.running.config.store.rglob("*") if path.is_file()] == []


def test_events_contain_nothing_from_the_algorithm(world: World) -> None:
    run(world, b"import sys; print('x' * 99); open('results/s', 'w').write('y' * 77); sys.exit(9)")
    failure(world)
    details = [canonical.parse(line, what="a line", limit=1 << 20)["event"]["detail"] for line in world.events()]
    assert details[-2:] == [{"outcome": "EXIT_STATUS"}, {"reason": "EXIT_STATUS"}]
    assert details[-3] == {}


def test_the_result_is_a_deterministic_zip(ready: World) -> None:
    with ready.session("lab") as session:
        ciphertext = fetch(session, "lab")
        key = release(session, "lab", ciphertext)
    plain = b"".join(slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext)))
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == sorted(archive.namelist())
        assert archive.read("cloister/manifest.json") == ready.known().encode()
        assert archive.read("cloister/boot-configuration.json") == ready.running.boot_configuration.encode()
