"""Each kind but python on a booted machine: it reads a dataset, gives a result, and cannot leave its sandbox.

Trials show the rest (tests/client/trial/test_kinds.py). Here the runner is root: it makes programs executable, layers
datasets for the users of images, and limits both sandboxes of an image by cgroups.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.computation.lifecycle import request_reset, wait_for_restart
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import Target
from cloister.endpoint import Address
from cloister.protocol.events import State
from infra.configuration.image import Image
from tests import compiled, oci_archives, wasm_modules
from tests.client.parties import Parties
from tests.e2e.prison import AS_ROOT, ON_MACHINE
from tests.e2e.test_sandbox import run
from tests.e2e.workspace import CVM, RunningWorkspace
from tests.oci_archives import Entry, folder, link

pytestmark = [pytest.mark.vm, pytest.mark.kinds]


@pytest.fixture(scope="module")
def parties(workspace: RunningWorkspace) -> Parties:
    found = workspace.parties
    found.edit("max: 4KiB", "max: 64KiB")
    return found


@pytest.fixture(scope="module")
def target(workspace: RunningWorkspace, base_image: Image) -> Target:
    descriptor = workspace.descriptor()
    policy, _ = policy_from_manifest(base_image.manifest, descriptor, allow_local=True)
    return Target(Address.parse(descriptor.cvms[0].endpoint), policy, CVM)


def binary(path: Path, folder: Path) -> dict[str, int]:
    compiled.build(compiled.ESCAPE, path, "-static")
    return ON_MACHINE


def wasm(path: Path, folder: Path) -> bytes:
    calls = [wasm_modules.opening(3, name, 1000 + 100 * number) for number, name in enumerate(("h1.csv", "../x"))]
    calls += [wasm_modules.opening(0, "x", 2000), wasm_modules.opening(3, "/etc/passwd", 3000)]
    wasm_modules.assemble(wasm_modules.attempts(calls), path)
    # What WASI says: success, EPERM for a path above the folder, EBADF for what is not a folder, EPERM.
    return bytes([0, 63, 8, 63])


def oci(path: Path, place: Path) -> dict[str, int]:
    escape = oci_archives.program("bin/escape", compiled.build(compiled.ESCAPE, place / "escape", "-static"))
    layers = [
        [folder("etc"), Entry("etc/passwd", b"root:x:0:0::/:\n"), link("up", "../../../.."), Entry("gone", b"x")],
        [Entry("up/planted", b"x"), Entry(".wh.gone"), escape],
    ]
    config = {"Entrypoint": ["escape"], "WorkingDir": "/work"}
    oci_archives.simple(layers, config, compression="+zstd").write(path)
    return AS_ROOT


@pytest.mark.parametrize("make", [binary, wasm, oci], ids=lambda make: make.__name__)
def test_kind_gives_a_result_and_cannot_leave_its_sandbox(
    parties: Parties, target: Target, tmp_path: Path, make: Callable[[Path, Path], object]
) -> None:
    lab = parties.keys["lab"]
    with Connection(target, lab) as before:
        if before.session().status().state != State.IDLE:
            old = request_reset(before)
            wait_for_restart(target, old)
    expected = make(parties.files["algorithm"], tmp_path)
    written = (parties.folder / "manifest.yaml").read_text()
    kind = next(line for line in written.splitlines() if line.startswith("  kind: "))
    parties.edit(kind, f"  kind: {make.__name__}")
    event, printed = run(parties, target)

    assert event.state is State.CONSUMING, (event.detail, printed)
    assert (json.loads(printed) if isinstance(expected, dict) else printed) == expected
