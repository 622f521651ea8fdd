"""A held run waits for its owner after the last asset: who can start it, how often, and how long it waits."""

import pytest

from cloister.protocol import canonical
from tests.agent_runtime.world import World, refused


@pytest.fixture
def held(world: World) -> World:
    """A machine that has everything and waits."""
    submit_held(world)
    world.upload_all()
    assert state(world) == "WaitingForStart"
    return world


def submit_held(world: World) -> None:
    with world.session("owner") as session:
        session.submit_manifest(world.compose().encode(), hold=True)


def state(world: World) -> str:
    with world.session("owner") as session:
        return session.status().state


def kinds(world: World) -> list[str]:
    return [canonical.parse(line, what="a line", limit=1 << 20)["event"]["kind"] for line in world.events("owner")]


def test_parties_see_in_the_log_that_a_run_will_be_held(world: World) -> None:
    submit_held(world)
    accepted = world.wait_for("manifest-accepted")
    assert accepted["detail"] == {"algorithm": "1", "datasets": "1", "consumers": "2", "hold": "86400"}
    with world.session("hospital") as session:
        assert session.status().hold


def test_run_begins_when_the_owner_starts_it_and_no_earlier(held: World) -> None:
    assert held.running.executor.jobs == []
    assert kinds(held)[-1] == "run-held"
    with held.session("owner") as session:
        session.start()
        session.start()
    started = held.wait_for("run-started")
    assert started["actor"] == held.keys["owner"].id
    held.wait_for("results-ready")
    assert len(held.running.executor.jobs) == 1
    assert kinds(held).count("run-started") == 1


@pytest.mark.parametrize("name", ["lab", "hospital", "reader"])
def test_only_an_owner_starts_a_run(held: World, name: str) -> None:
    with held.session(name) as session, refused("NOT_AUTHORIZED"):
        session.start()
    assert state(held) == "WaitingForStart"


def test_a_run_is_not_started_while_assets_are_missing(world: World) -> None:
    with world.session("owner") as session, refused("NOT_READY", state="Idle"):
        session.start()
    submit_held(world)
    world.upload("lab", "algorithm")
    with world.session("owner") as session, refused("NOT_READY", state="ReceivingAssets"):
        session.start()
    world.upload("hospital", "h1")
    assert state(world) == "WaitingForStart"


def test_nothing_is_uploaded_to_a_held_run(held: World) -> None:
    assert held.upload("hospital", "h1").complete
    assert kinds(held)[-1] == "run-held"
    with held.session("reader") as session, refused("NOT_READY", state="WaitingForStart"):
        list(session.logs())


def test_run_that_no_one_starts_fails_and_leaves_nothing(held: World) -> None:
    held.running.clock.pass_time(86300)
    held.running.agent.sweep()
    assert state(held) == "WaitingForStart"
    held.running.clock.pass_time(200)
    with held.session("owner") as session, refused("NOT_READY", state="Failed"):
        session.start()
    assert held.wait_for("failed")["detail"] == {"reason": "NOT_STARTED"}
    assert [path for path in held.running.config.store.rglob("*") if path.is_file()] == []
    assert held.running.executor.jobs == []


def test_held_run_expires_without_a_call(held: World) -> None:
    held.running.clock.pass_time(86401)
    held.running.agent.sweep()
    assert kinds(held)[-1] == "failed"


def test_held_run_can_be_stopped(held: World) -> None:
    with held.session("owner") as session:
        session.stop()
        with refused("NOT_READY", state="Stopped"):
            session.start()
    assert held.running.executor.jobs == []


def test_starting_a_run_that_was_not_held_changes_nothing(world: World) -> None:
    world.files["algorithm"] = b"while True: pass"
    world.submit()
    world.upload_all()
    with world.session("owner") as session:
        session.start()
        assert session.status().state == "Running"
        session.stop()
    assert kinds(world).count("run-started") == 1
