"""One boot of a checkout's image, to the first verdict: ``python first_verdict.py IMAGE FOLDER``, which `boot` runs.

It imports the project from PYTHONPATH, so that an older checkout starts its own image with its own options. IMAGE is
the path of the image's manifest; FOLDER is new. Prints one line of JSON: seconds from QEMU's start to ``ready``,
seconds of the verb ``attest``, and the guest's uptime at each milestone.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

from cloister.attestation.first_policy.from_manifest import policy_from_manifest
from cloister.client.files.keys import KeyType, generate_key
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.descriptor import CvmEntry, Descriptor, MemberEntry
from image.inputs import host_tools
from infra.configuration.image import find
from infra.paths import private_folder
from infra.provider import certificates
from infra.provider.qemu import accelerator, machine, ports, vtpm
from infra.provider.qemu.boot import BootWatch

_WORKSPACE, _CVM = "bench", "trainer"
_MEMORY, _CPUS = 2 << 30, 2


def main() -> None:
    """Boot, attest, print, remove the machine."""
    image, folder = find(sys.argv[1]), private_folder(Path(sys.argv[2]))
    place, tools, port = folder / _CVM, host_tools.ensure(), ports.free()
    authority = certificates.create_authority(_WORKSPACE, private_folder(folder / "authority"))
    key = generate_key(folder / "lab.pem", KeyType.ED25519)
    configuration = BootConfiguration(_WORKSPACE, _CVM, (key.id,))
    descriptor = Descriptor(
        workspace=_WORKSPACE,
        backend="local",
        flavor=image.manifest.flavor,
        image=image.digest,
        members=(MemberEntry("lab", key.public, ("owner",)),),
        cvms=(CvmEntry(_CVM, f"{ports.LOOPBACK}:{port}", "local", configuration),),
        authority=authority,
    )
    policy, _ = policy_from_manifest(image.manifest, descriptor, allow_local=True)
    for name, document in {"policy": policy, "workspace": descriptor}.items():
        (folder / f"{name}.json").write_bytes(document.encode())
    machine.prepare(place, tools, image.disk, configuration.encode())
    vtpm.create(tools, place, lambda point: certificates.certify(folder / "authority", authority, point, "bench"))
    accel = accelerator.choose(tools)
    try:
        began = time.time()
        qemu = machine.boot(place, tools, machine.Hardware("bench", _CPUS, _MEMORY, port, console=False), accel)
        BootWatch(_CVM, place, qemu, port, Event(), lambda said: None).wait()
        log = place / machine.MILESTONES
        attest = _attest(folder)
    finally:
        machine.stop(place)
    lines = (line.split() for line in log.read_text().splitlines())
    milestones = [(name, float(uptime)) for name, uptime in lines]
    print(json.dumps({"ready": log.stat().st_mtime - began, "attest": attest, "milestones": milestones}))


def _attest(folder: Path) -> float:
    """Seconds that the verb takes."""
    began = time.monotonic()
    words = [sys.executable, "-m", "cloister", "attest", "--workspace", "workspace.json", "--policy", "policy.json"]
    subprocess.run(words, cwd=folder, env=os.environ, check=True, capture_output=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
