"""All abuses of docs/sandbox.md that a run survives, in one run on a booted machine (`invoke test.sandbox`)."""

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.connection.opening import Target
from cloister.endpoint import Address
from cloister.protocol.events import State
from infra.configuration.image import Image
from tests.e2e.abuse_table import ABUSER, SURVIVES, expected, outcomes
from tests.e2e.test_sandbox import run
from tests.e2e.workspace import CVM, RunningWorkspace

pytestmark = [pytest.mark.vm, pytest.mark.sandbox]


def test_machine_survives_what_the_page_says(workspace: RunningWorkspace, base_image: Image) -> None:
    parties, descriptor = workspace.parties, workspace.descriptor()
    parties.files["algorithm"].write_bytes(ABUSER.read_bytes())
    parties.edit("max: 4KiB", "max: 64KiB")
    policy, _ = policy_from_manifest(base_image.manifest, descriptor, allow_local=True)
    event, printed = run(parties, Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM))
    assert event.state is State.CONSUMING, printed
    assert outcomes(printed) == expected(SURVIVES)
    assert len(printed) == parties.manifest().logs.max_size
