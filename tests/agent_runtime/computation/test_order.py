"""What several parties do at one time has one order, that of the log; who comes later is told what came first."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent_runtime.limits import Limits
from cloister.client.connection.refusal import Refusal
from tests.agent_fixture import running_agent
from tests.agent_runtime.decisions import CALLS, SECONDS, events
from tests.agent_runtime.fair_lock import at_one_time, install
from tests.agent_runtime.world import DATA, TRAIN, World, new_key

RESULTS = {"consumers": ["lab", "hospital"], "expires": SECONDS, "max": 1 << 20}
FILES = {"by": ["reader"], "sees": "files"}
ENDLESS = b"print('secret', flush=True)\nwhile True: pass"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    keys = {name: new_key() for name in ("owner", "lab", "hospital", "reader")}
    with running_agent(tmp_path, (keys["owner"].id,), limits=Limits(hold_seconds=SECONDS)) as running:
        yield World(running, keys, {"algorithm": TRAIN, "h1": DATA})


def held(world: World) -> str:
    with world.session("owner") as session:
        session.submit_manifest(world.compose().encode(), hold=True)
    world.upload_all()
    return "run-held"


def running(world: World) -> str:
    world.files["algorithm"] = ENDLESS
    world.submit()
    world.upload_all()
    return "run-started"


def waiting(world: World) -> str:
    world.submit(results=RESULTS | {"approval": FILES})
    world.upload_all()
    return "results-ready"


def released(world: World) -> str:
    world.submit(results=RESULTS)
    world.upload_all()
    return "results-ready"


DONE = "done"
_CASES: list[tuple[Callable[[World], str], dict[str, str]]] = [
    # In this order at one time. For each: what its caller is told, or the event of which it is told that it came first.
    (waiting, {"the preview": DONE, "the withdrawal": "result-previewed", "the approval": DONE, "the rejection":
        "result-approved", "the lab's key": DONE, "the stop": DONE, "the hospital's key": "stopped"}),
    (waiting, {"the approval": DONE, "the lab's key": DONE, "the withdrawal": "result-consumed", "the preview": DONE,
        "the hospital's key": DONE, "the stop": "completed"}),
    (waiting, {"the approval": DONE, "the logs": DONE, "the receipt": DONE, "the names": DONE}),
    (waiting, {"the approval": DONE, "the withdrawal": DONE, "the lab's key": "withdrawn", "the preview": "withdrawn",
        "the logs": "withdrawn"}),
    (waiting, {"the rejection": DONE, "the names": "result-rejected", "the approval":
        "result-rejected", "the withdrawal": "result-rejected", "the preview": "result-rejected", "the logs":
        "result-rejected", "the stop": "result-rejected"}),
    (waiting, {"the withdrawal": DONE, "another withdrawal": "withdrawn", "the approval": "withdrawn",
        "the rejection": "withdrawn", "the preview": "withdrawn", "the stop": "withdrawn"}),
    (waiting, {"the stop": DONE, "the approval": "stopped", "the withdrawal": "stopped", "the rejection": "stopped"}),
    (waiting, {"the end of time": DONE, "the approval": "result-rejected", "the rejection": "result-rejected",
        "the withdrawal": "result-rejected", "the preview": "result-rejected", "the stop": "result-rejected"}),
    (released, {"the lab's key": DONE, "the withdrawal": "result-consumed", "the hospital's key": DONE,
        "another withdrawal": "result-consumed", "the stop": "completed"}),
    (released, {"the withdrawal": DONE, "the lab's key": "withdrawn", "the hospital's key": "withdrawn",
        "the ciphertext": "withdrawn", "the receipt": "withdrawn", "the logs": "withdrawn"}),
    (released, {"the stop": DONE, "the lab's key": "stopped", "the withdrawal": "stopped"}),
    (released, {"the end of time": DONE, "the withdrawal": "results-expired", "the stop": "completed"}),
    (running, {"the withdrawal": DONE, "the logs": "withdrawn", "the stop": "withdrawn"}),
    (held, {"the start": DONE, "the withdrawal": DONE, "the stop": "withdrawn"}),
    (held, {"the withdrawal": DONE, "the start": "withdrawn", "another withdrawal": "withdrawn"}),
    (held, {"the stop": DONE, "the start": "stopped", "the withdrawal": "stopped"}),
    (held, {"the end of time": DONE, "the start": "failed", "the withdrawal": "failed", "the stop": "failed"}),
]  # fmt: skip


@pytest.mark.parametrize(("until", "told"), _CASES, ids=[f"{one.__name__}: {next(iter(two))}" for one, two in _CASES])
def test_decisions_at_one_time_are_made_one_after_the_other(
    world: World, until: Callable[[World], str], told: dict[str, str]
) -> None:
    world.wait_for(until(world))
    with ExitStack() as stack:
        calls = {}
        for name in told:
            party, make = CALLS[name]
            calls[name] = make(world, stack.enter_context(world.session(party)), party)
        found = at_one_time(install(world.running.agent), calls)
    assert {name: answer(one) for name, one in found.items()} == told
    assert [event["state"] in ("Complete", "Failed", "Stopped") for event in events(world)].count(True) <= 1


def answer(found: object) -> str:
    return found.metadata.get("event", found.reason) if isinstance(found, Refusal) else DONE
