"""A run in a machine (one boot, and one reset): what an algorithm cannot do, and that a reset forgets everything."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.attestation.reference import policy_from
from cloister.client import restart, upload
from cloister.client.connection import Connection, Target
from cloister.client.submission import submit
from cloister.client.timeline import Follower
from cloister.endpoint import Address
from cloister.protocol.events import State
from infra.image import Image
from infra.provider import ports
from tests.e2e.hostile_host import CVM, HostileHost

pytestmark = pytest.mark.vm

EACCES, ENETUNREACH = 13, 101


@pytest.fixture(scope="module")
def host(base_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileHost]:
    """A machine that its host leaves alone."""
    with HostileHost.create(tmp_path_factory.mktemp("sandbox"), base_image) as host:
        (host.folder / "train.py").write_bytes(Path(__file__).with_name("prisoner.py").read_bytes())
        host.parties.edit("max: 4KiB", "max: 64KiB")
        host.boot()
        yield host


@pytest.fixture(scope="module")
def target(host: HostileHost) -> Target:
    policy, _ = policy_from(host.image.manifest, host.descriptor(), allow_local=True)
    return Target(Address(ports.LOOPBACK, host.port), policy, CVM)


def test_an_algorithm_finds_every_door_closed(host: HostileHost, target: Target) -> None:
    keys, manifest = host.parties.keys, host.parties.manifest()
    with submit(target, keys["lab"], manifest) as lab:
        for asset in manifest.assets():
            with Connection(replace(target, manifest_digest=manifest.digest()), keys[asset.provider]) as provider:
                upload.upload(provider, manifest, asset, host.parties.files[asset.name])
        (*_, last) = Follower(lab).records(follow=True, until=frozenset({State.CONSUMING, State.FAILED}))
        printed = b"".join(chunk.data for chunk in lab.session().logs()).decode()
    assert last.event.state is State.CONSUMING, printed
    found = json.loads(printed)
    limits = manifest.limits
    assert 0 < found.pop("forks") < limits.processes
    assert found == {
        "user": ["1000"] * 4,
        "capabilities": ["0" * 16],
        "no_new_privileges": "1",
        "seccomp": "2",
        "network": ["lo"],
        "connect": ENETUNREACH,
        "processes": ["1"],
        "devices": ["full", "null", "random", "tty", "urandom", "zero"],
        "work": ["datasets", "results", "train.py"],
        "sys": [],
        "run": ["launched"],
        "read-only": ["/x", "/work/x", "/run/x", "/work/train.py", "/etc/passwd"],
        "system calls": ["bpf", "io_uring_setup", "keyctl", "mount", "ptrace", "unshare", "userfaultfd"],
        "sockets": ["AF_ALG", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"],
        "datasets": 0,
        "tmp is bounded": True,
        "results are bounded": True,
        "results are not executable": EACCES,
    }


def test_a_reset_gives_a_fresh_machine(host: HostileHost, target: Target) -> None:
    lab = host.parties.keys["lab"]
    with Connection(target, lab) as before:
        old = restart.reset(before)
    restart.wait(target, old)
    with Connection(target, lab) as after:
        fresh = after.evidence()
        state = after.session().status().state
    assert fresh.event_log_key != old
    assert [entry.kind for entry in fresh.runtime_log] == ["boot-configuration", "agent"]
    assert state == "Idle"
