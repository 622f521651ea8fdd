"""scikit-learn and polars in a booted machine, from a bundle to a result (`invoke test.packages`)."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.asset_upload import upload_asset
from cloister.client.computation.events import EventReader
from cloister.client.computation.submission import submit
from cloister.client.computation.upload import upload_algorithm
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.client.packages.bundle import make_bundle
from cloister.endpoint import Address
from cloister.protocol.events import State
from cloister.protocol.progress import Phase
from infra import paths
from infra.configuration.image import Image
from tests.client.parties import Parties
from tests.e2e.workspace import CVM, RunningWorkspace

pytestmark = [pytest.mark.vm, pytest.mark.packages]

_FOLDER = paths.CHECKOUT / "tests" / "packages"


@pytest.fixture(scope="module")
def large_workspace(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorkspace]:
    """A workspace with memory for packages: 100 MB of bundle, and 500 MB that the launcher unpacks."""
    running = RunningWorkspace.create(tmp_path_factory.mktemp("workspace"), base_image, memory="3GiB")
    with running.destroyed_at_end():
        yield running


@pytest.fixture
def parties(large_workspace: RunningWorkspace) -> Parties:
    found = large_workspace.parties
    found.files["algorithm"].write_bytes((_FOLDER / "programs" / "machine.py").read_bytes())
    found.files["bundle"] = found.folder / "requirements.bundle"
    make_bundle(_FOLDER / "locks" / "machine.txt", found.files["bundle"])
    found.edit("  kind: python\n", "  kind: python\n  bundle: requirements.bundle\n")
    found.edit("time: 2m, memory: 256MiB", "time: 30m, memory: 1536MiB")
    found.edit("processes: 16", "processes: 64")
    return found


def test_packages_run_in_a_machine(large_workspace: RunningWorkspace, base_image: Image, parties: Parties) -> None:
    descriptor = large_workspace.descriptor()
    policy, _ = policy_from_manifest(base_image.manifest, descriptor, allow_local=True)
    target = Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM)
    keys, manifest, files = parties.keys, parties.manifest(), parties.files

    with submit(target, keys["lab"], manifest) as lab:
        demanding = replace(target, manifest_digest=manifest.digest())
        with Connection(demanding, keys["lab"]) as provider:
            upload_algorithm(provider, manifest, files["algorithm"], bundle=files["bundle"])
        for asset in manifest.assets():
            if asset.name in ("h1", "h2"):
                with Connection(demanding, keys[asset.provider]) as provider:
                    upload_asset(provider, manifest, asset, describe_asset(files[asset.name], unpack=False))
        (*_, last) = EventReader(lab).records(follow=True, until=frozenset({Phase.COMPLETED}))
        printed = b"".join(chunk.data for chunk in lab.session().logs()).decode()

    assert (last.event.state, printed) == (State.CONSUMING, "True\n")
