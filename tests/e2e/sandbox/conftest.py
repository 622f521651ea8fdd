"""The machine of the workspace, as the tests of the sandbox connect to it."""

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.connection.opening import Target
from cloister.endpoint import Address
from infra.configuration.image import Image
from tests.e2e.workspace import CVM, RunningWorkspace


@pytest.fixture(scope="module")
def target(workspace: RunningWorkspace, base_image: Image) -> Target:
    descriptor = workspace.descriptor()
    policy, _ = policy_from_manifest(base_image.manifest, descriptor, allow_local=True)
    return Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM)
