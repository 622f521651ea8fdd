"""A local workspace of the real engine: unchanged by a second up, and repaired after a crash."""

import os
import signal

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.connection.opening import Target, attest
from cloister.endpoint import Address, probe
from infra.configuration.image import Image
from tests.e2e.workspace import CVM, RunningWorkspace

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


def test_a_killed_machine_is_replaced_at_the_same_address(workspace: RunningWorkspace):
    """The second boot of the workspace."""
    before = workspace.project.machine()
    os.kill(before["process"]["pid"], signal.SIGKILL)
    workspace.project.up(replace=1, same=3)
    after = workspace.project.machine()
    assert after["process"] != before["process"]
    assert after["endpoint"] == before["endpoint"]
    probe(Address.parse(after["endpoint"]))
