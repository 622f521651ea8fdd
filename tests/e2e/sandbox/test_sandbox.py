"""A run and a reset on a real machine: the sandbox holds, and a reset keeps nothing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.client.computation.asset import describe_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.events import EventReader
from cloister.client.computation.lifecycle import request_reset, wait_for_restart
from cloister.client.computation.submission import submit
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.protocol.events import Event, State
from cloister.protocol.progress import Phase
from tests.client.parties import Parties
from tests.e2e.sandbox.prison import INSIDE
from tests.e2e.workspace import RunningWorkspace

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def parties(workspace: RunningWorkspace) -> Parties:
    """The parties of the workspace, with an algorithm that tries to leave its sandbox."""
    found = workspace.parties
    found.files["algorithm"].write_bytes(Path(__file__).with_name("prisoner.py").read_bytes())
    found.edit("max: 4KiB", "max: 64KiB")
    found.edit("file: h2.csv", 'file: "h2: 2024 [\u00fc].csv"')
    return found


def begin(parties: Parties, target: Target) -> Connection:
    """Submit and upload everything. The lab's connection."""
    keys, manifest = parties.keys, parties.manifest()
    lab = submit(target, keys["lab"], manifest)
    for asset in manifest.assets():
        with Connection(replace(target, manifest_digest=manifest.digest()), keys[asset.provider]) as provider:
            upload_asset(provider, manifest, asset, describe_asset(parties.files[asset.name], unpack=False))
    return lab


def run(parties: Parties, target: Target) -> tuple[Event, bytes]:
    """Run the parties' computation. The last event, and what the algorithm printed: any bytes."""
    with begin(parties, target) as lab:
        (*_, last) = EventReader(lab).records(follow=True, until=frozenset({Phase.COMPLETED}))
        printed = b"".join(chunk.data for chunk in lab.session().logs())
    return last.event, printed


def test_algorithm_cannot_leave_its_sandbox(parties: Parties, target: Target) -> None:
    event, printed = run(parties, target)
    assert event.state is State.CONSUMING, printed
    found = json.loads(printed)
    limits = parties.manifest().limits
    assert 0 < found.pop("forks") < limits.processes
    assert found == {
        **INSIDE,
        "memory": {path: [limits.memory, 262_144] for path in ("/tmp", "/dev/shm")},
        "dataset files": ["h1.csv", "h2: 2024 [\u00fc].csv"],
    }


def test_reset_gives_a_fresh_machine(parties: Parties, target: Target) -> None:
    lab = parties.keys["lab"]
    with Connection(target, lab) as before:
        old = request_reset(before)
    wait_for_restart(target, old)
    with Connection(target, lab) as after:
        fresh = after.evidence()
        state = after.session().status().state
    assert fresh.event_log_key != old
    assert [entry.kind for entry in fresh.runtime_log] == ["boot-configuration", "agent"]
    assert state == "Idle"


def test_files_in_memory_count_as_memory(parties: Parties, target: Target) -> None:
    """On the machine that was reset: neither /tmp nor /dev/shm is full when both together exceed the limit."""
    parties.files["algorithm"].write_bytes(Path(__file__).with_name("hoarder.py").read_bytes())
    event, printed = run(parties, target)
    assert (event.state, event.detail) == (State.FAILED, {"reason": "MEMORY_LIMIT"})
    assert printed == b""
