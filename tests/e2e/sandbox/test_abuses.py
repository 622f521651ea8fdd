"""What an algorithm may try on a booted machine (`invoke test.sandbox`): all abuses of docs/sandbox.md that a run
survives, in one run, and one by which it could take the agent off the network.
"""

from pathlib import Path

import pytest

from cloister.client.computation.lifecycle import reset_machine
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.protocol.events import State
from tests.e2e.sandbox.abuse_table import ABUSER, SURVIVES, expected, outcomes
from tests.e2e.sandbox.test_sandbox import begin, run
from tests.e2e.workspace import RunningWorkspace

pytestmark = [pytest.mark.vm, pytest.mark.sandbox]


def test_machine_survives_what_the_page_says(workspace: RunningWorkspace, target: Target) -> None:
    parties = workspace.parties
    parties.files["algorithm"].write_bytes(ABUSER.read_bytes())
    parties.edit("max: 4KiB", "max: 64KiB")
    event, printed = run(parties, target)
    print(printed.partition(b"flood")[0].decode())
    assert event.state is State.CONSUMING, printed
    assert outcomes(printed) == expected(SURVIVES)
    assert len(printed) == parties.manifest().logs.max_size


def test_parties_reach_a_machine_whose_algorithm_fills_the_memory_of_sockets(
    workspace: RunningWorkspace, target: Target
) -> None:
    """The kernel has one limit for the memory of all TCP connections, the agent's and the algorithm's."""
    parties = workspace.parties
    with Connection(target, parties.keys["lab"]) as owner:
        reset_machine(owner)
    parties.files["algorithm"].write_bytes(Path(__file__).with_name("socket_hoarder.py").read_bytes())
    parties.edit("max: 64KiB", "max: 64KiB, release: live")
    parties.edit("memory: 256MiB", "memory: 768MiB")
    with begin(parties, target) as lab:
        printed = b""
        for chunk in lab.session().logs(follow=True):
            printed += chunk.data
            if b"\n" in printed:
                break
        assert printed.startswith(b"full"), printed
        print(printed.decode())
        with Connection(lab.target, parties.keys["hospital-2"]) as other:
            assert other.session().status().state == State.RUNNING
        lab.session().stop()
