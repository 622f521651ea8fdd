"""A local workspace of the real engine: unchanged by a second up, and repaired after its machine has ended."""

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.computation.lifecycle import reset_machine
from cloister.client.computation.status import fetch_status
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target, attest
from cloister.endpoint import Address, probe
from cloister.errors import CloisterError
from infra.configuration.image import Image
from infra.processes import Process
from infra.provider.qemu import powerbutton
from tests.e2e.workspace import CVM, NAME, RunningWorkspace

pytestmark = pytest.mark.vm


def test_a_second_up_changes_nothing(workspace: RunningWorkspace):
    before = workspace.project.machine()
    workspace.project.up(same=4)
    assert workspace.project.machine() == before


def test_machine_matches_its_descriptor(workspace: RunningWorkspace, base_image: Image):
    descriptor = workspace.descriptor()
    policy, _ = policy_from_manifest(base_image.manifest, descriptor, allow_local=True)
    with attest(Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM)) as opening:
        assert opening.verdict.failures == ()


@pytest.mark.rare
def test_a_machine_that_its_host_powers_off_tells_its_parties_and_is_replaced(
    workspace: RunningWorkspace, base_image: Image
):
    """The second boot of the workspace, at the same address."""
    before, descriptor = workspace.project.machine(), workspace.descriptor()
    policy, _ = policy_from_manifest(base_image.manifest, descriptor, allow_local=True)
    target = Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM)
    qemu = Process(before["process"]["pid"], before["process"]["started"])
    with Connection(target, workspace.parties.keys["lab"]) as connection:
        if fetch_status(connection).progress.final:  # of another module's test; there is nothing to follow then
            reset_machine(connection)
        events = connection.session().events(0, follow=True)
        next(events)
        powerbutton.press(workspace.project.state / NAME / CVM, qemu)
        assert not qemu.alive()
        with pytest.raises(CloisterError) as caught:
            list(events)
    assert refusal.reason_of(caught.value) == "STOPPING"
    workspace.project.up(replace=1, same=3)
    after = workspace.project.machine()
    assert after["process"] != before["process"]
    assert after["endpoint"] == before["endpoint"]
    probe(Address.parse(after["endpoint"]))
