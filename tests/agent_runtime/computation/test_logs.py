"""The algorithm's logs and the event log: who can read them, and when."""

import threading

import pytest

from cloister.protocol import canonical
from tests.agent_runtime.world import World, refused

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


BAD = b"print('x' * 90)\nopen('results/a\\nb\\u202e', 'w').write('x')"


def test_log_readers_learn_which_result_file_broke_which_rule_and_events_do_not(world: World) -> None:
    world.files["algorithm"] = BAD
    world.submit(logs__max=150)
    world.upload_all()
    failed = world.wait_for("failed")
    text, is_cut = logs(world)
    why = '"results/a\\u000ab\\u202e" contains the control character U+000A.\n'
    assert text.decode().endswith(f"\nThe result cannot be accepted: {why}")
    assert (len(text), is_cut) == (150, True)
    assert failed["detail"] == {"reason": "RESULT_INVALID"}
    for line in world.events():
        assert b"results/" not in line
