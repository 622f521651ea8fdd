"""Owners read the agent's counters and its log; an algorithm can put nothing into them."""

import json
import threading

import pytest

from agent_runtime.clock import Clock
from agent_runtime.errors import Reason
from agent_runtime.operations.counters import AgentCounters, CallOutcome
from agent_runtime.operations.journal import MAX_LINES, Journal, JournalEvent
from cloister.client.computation.metrics import AgentMetrics, fetch_metrics
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.errors import ProofError
from cloister.v1 import agent_pb2
from tests.agent_runtime.operations.test_openmetrics import assert_openmetrics
from tests.agent_runtime.world import World, refused

WAITS = b"""\
import os, pathlib, time
print("x" * 100)
while not os.path.exists("/proc/self/fd/9999"):
    time.sleep(60)
"""


def read(world: World, *, log: bool = False) -> AgentMetrics:
    with Connection(Target(world.running.address, world.running.policy()), world.keys["owner"]) as connection:
        return fetch_metrics(connection, log=log)


def number(found: AgentMetrics, name: str, **labels: str) -> float:
    return sum(one.number for one in found.samples if one.name == name and labels.items() <= dict(one.labels).items())


def test_owner_reads_openmetrics(world: World) -> None:
    world.submit()
    world.upload("lab", "algorithm")
    found = read(world)
    assert_openmetrics(found.text)
    assert number(found, "cloister_recording") == 1
    assert number(found, "cloister_calls_total", method="UploadAsset") == 1
    assert number(found, "cloister_calls_ended_total", method="UploadAsset", outcome="ok") == 1
    assert number(found, "cloister_evidence_seconds_count") == number(found, "cloister_evidence_total", outcome="made")
    assert number(found, "cloister_assets_received_bytes") == len(world.files["algorithm"])
    assert number(found, "process_resident_memory_bytes") > 1 << 20
    assert found.log == ()


@pytest.mark.parametrize("name", ["lab", "hospital", "reader"])
def test_only_owners_read(world: World, name: str) -> None:
    world.submit()
    with world.session(name) as session, refused("NOT_AUTHORIZED"):
        session.metrics()


def test_labels_and_log_name_no_party_asset_or_file(world: World) -> None:
    world.submit()
    world.upload_all()
    world.wait_for("results-ready")
    with world.session("lab") as session, refused("UNKNOWN_ASSET"):
        session.upload_offset("secret")
    found = read(world, log=True)
    methods = {method.name for method in agent_pb2.DESCRIPTOR.services_by_name["Agent"].methods}
    values = {"method": methods, "reason": set(Reason), "outcome": {*CallOutcome, "made", "failed"}}
    assert {name for one in found.samples for name, value in one.labels if value not in values[name]} == set()
    text = found.text + json.dumps(found.log)
    said = {*world.keys, "h1", "train.py", "model.json", "trained", "secret", *(key.id for key in world.keys.values())}
    assert {word for word in said - {"owner"} if word in text} == set()
    assert [line["event"] for line in found.log] == ["agent-started", "call-refused"]
    assert found.log[-1]["values"] == {"method": "UploadOffset", "reason": "UNKNOWN_ASSET"}


def test_nothing_of_the_agent_is_measured_while_an_algorithm_runs(world: World) -> None:
    """What peers ask is counted; outcomes, durations, CPU time and memory stay as they were before."""
    world.files["algorithm"] = WAITS
    world.submit()
    world.upload_all()
    world.wait_for("run-started")
    before = read(world)
    with world.session("lab") as session, refused("UNKNOWN_ASSET"):
        session.upload_offset("secret")
    after = read(world, log=True)
    with world.session("owner") as session:
        session.stop()

    def measured(found: AgentMetrics) -> list[str]:
        own = ("cloister_calls_total", "cloister_uptime", "cloister_sessions", "cloister_events", "cloister_assets")
        return [line for line in found.text.splitlines() if not line.startswith(own)]

    assert number(before, "cloister_recording") == 0
    assert measured(after) == measured(before)
    assert number(after, "cloister_calls_total", method="UploadOffset") == 1
    assert [line["event"] for line in after.log] == ["agent-started"]
    ended = read(world)
    assert number(ended, "cloister_recording") == 1
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes"):
        assert number(ended, name) == number(before, name)


def test_time_of_evidence_that_a_run_began_beside_is_dropped() -> None:
    counters, running = AgentCounters(), threading.Event()
    counters.is_running = running.is_set
    with counters.evidence():
        running.set()
    with counters.evidence():
        running.clear()
    assert list(counters._evidence) == []
    with counters.evidence():
        pass
    assert counters._evidence["made",] == 1


def test_log_is_bounded_and_counts_what_repeats() -> None:
    written: list[str] = []
    journal = Journal(Clock(), written.append)
    for _ in range(3):
        journal.add(JournalEvent.REFUSED, method="Status", reason="BUSY")
    (line,) = map(json.loads, journal.text().splitlines())
    assert (line["count"], len(written)) == (3, 1)
    for turn in range(MAX_LINES + 5):
        journal.add(JournalEvent.REFUSED, method="Status", reason=f"{turn}" + "x" * 10_000)
    first, *rest = journal.text().splitlines()
    assert json.loads(first) == {"event": "older-lines-dropped", "count": 6}
    assert (len(rest), len(journal.text()) < 1 << 19) == (MAX_LINES, True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a 1\n",
            "a 1\n# EOF",
            "a 1\n# EOF\nb 1\n",
            "a\x1b 1\n# EOF\n",
            'a{x="\x1b"} 1\n# EOF\n',
            "a 1 2\n# EOF\n",
        ),
        *("a 1e999\n# EOF\n", "a -1e+400\n# EOF\n", f"a {'9' * 400}\n# EOF\n"),
    ],
)
def test_answer_that_is_not_openmetrics_is_refused(world: World, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("agent_runtime.operations.openmetrics.encode", lambda families: text)
    with pytest.raises(ProofError, match="The agent's metrics"):
        read(world)
