"""The OCI configuration of a job. tests/e2e shows that crun enforces it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agent_runtime.runner import oci_config
from agent_runtime.runner.oci_config import SandboxPaths
from agent_runtime.runner.packing_config import packing_config
from agent_runtime.runner.protocol import PackedDataset, ScratchJob
from cloister.protocol.archives import limits
from tests.agent_runtime.runner.test_protocol import JOB
from tools import stubs

ROOT = Path("/b")
PATHS = SandboxPaths(
    rootfs=ROOT / "rootfs",
    work=ROOT / "work",
    datasets=ROOT / "datasets",
    results=ROOT / "results",
    algorithm=ROOT / "algorithm",
    bundle=ROOT / "bundle",
    files=ROOT / "files",
    packed=ROOT / "packed",
    launched=ROOT / "launched",
    wheels=ROOT / "unpacked/wheels",
    temporary=ROOT / "written/tmp",
    image=ROOT / "image",
    room=ROOT / "room",
)
FORBIDDEN = """
    add_key bpf chroot clone3 delete_module finit_module fsconfig fsmount fsopen init_module io_uring_enter
    io_uring_register io_uring_setup ioperm iopl kexec_load keyctl mount mount_setattr move_mount
    name_to_handle_at open_by_handle_at open_tree perf_event_open pivot_root process_vm_readv process_vm_writev
    ptrace reboot request_key setns sethostname swapon syslog umount2 unshare userfaultfd
"""


def test_the_process_has_no_privilege() -> None:
    process = oci_config.config(JOB, PATHS)["process"]
    assert process["user"] == {"uid": 1000, "gid": 1000, "umask": 0o022}
    assert process["capabilities"] == {
        name: [] for name in ("bounding", "effective", "inheritable", "permitted", "ambient")
    }
    assert process["noNewPrivileges"] is True
    assert process["terminal"] is False


def test_every_namespace_is_new() -> None:
    linux = oci_config.config(JOB, PATHS)["linux"]
    assert sorted(one["type"] for one in linux["namespaces"]) == sorted(
        ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"]
    )
    assert all(set(one) == {"type"} for one in linux["namespaces"])
    mapping = [{"containerID": 0, "hostID": 100_000, "size": 65_536}]
    assert linux["uidMappings"] == linux["gidMappings"] == mapping


def test_limits_are_the_manifests() -> None:
    resources = oci_config.config(JOB, PATHS)["linux"]["resources"]
    memory = JOB.memory + 1000 + JOB.results + oci_config.RESULT_SLACK
    assert resources == {
        "memory": {"limit": memory, "swap": memory},
        "pids": {"limit": 64},
        "cpu": {"quota": 200_000, "period": 100_000},
        "devices": [{"allow": False, "access": "rwm"}],
        "unified": {"memory.oom.group": "1"},
    }


def test_only_datasets_results_and_memory_are_writable() -> None:
    mounts = oci_config.config(JOB, PATHS)["mounts"]
    assert all("nosuid" in one["options"] for one in mounts)
    writable = {one["destination"] for one in mounts if one["type"] == "bind" and "ro" not in one["options"]}
    assert writable == {"/work/datasets", "/work/results", "/run/launched"}
    for one in mounts:
        if one["type"] == "tmpfs":
            assert any(option.startswith("size=") for option in one["options"])
            assert any(option.startswith("nr_inodes=") for option in one["options"])
    sources = {one["destination"]: one["source"] for one in mounts if one["type"] == "bind"}
    assert sources == {
        "/work": "/b/work",
        "/work/train.py": "/b/algorithm",
        "/work/helper.py": "/b/files/helper-py",
        "/work/weights/hub/model.pth": "/b/files/weights",
        "/work/datasets": "/b/datasets",
        "/work/results": "/b/results",
        "/run/launched": "/b/launched",
        "/run/bundle.tar": "/b/bundle",
        "/run/packed/h2": "/b/packed/h2",
    }


@pytest.mark.parametrize("memory", [1, JOB.memory, 1 << 40])
def test_memory_file_systems_are_bounded_by_the_manifests_memory(memory: int) -> None:
    mounts = {one["destination"]: one for one in oci_config.config(replace(JOB, memory=memory), PATHS)["mounts"]}
    for place in ("/tmp", "/dev/shm", "/run/wheels"):
        assert mounts[place]["type"] == "tmpfs"
        # Zero would mean no limit. All of them count in the cgroup, whose limit bounds their sum.
        assert f"size={memory}" in mounts[place]["options"]
        assert {"nosuid", "nodev"} <= set(mounts[place]["options"])
    assert "noexec" in mounts["/dev/shm"]["options"]


def test_own_host_name_has_the_addresses_of_the_loopback_interface() -> None:
    name = oci_config.config(JOB, PATHS)["hostname"]
    assert name == "algorithm"
    lines = [line.split() for line in (stubs.ROOT / "image" / "guest" / "templates" / "hosts").read_text().splitlines()]
    assert {line[0] for line in lines if name in line[1:]} == {"127.0.0.1", "::1"}


def test_the_root_is_read_only() -> None:
    assert oci_config.config(JOB, PATHS)["root"] == {"path": "/b/rootfs", "readonly": True}


def test_system_calls_are_allowed_by_name_only() -> None:
    listed = oci_config.seccomp()
    assert listed["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = {name for rule in listed["syscalls"] if "args" not in rule for name in rule["names"]}
    assert not allowed & set(FORBIDDEN.split())
    assert {"read", "write", "openat", "mmap", "futex", "execve", "exit_group"} <= allowed
    conditional = {name for rule in listed["syscalls"] if "args" in rule for name in rule["names"]}
    assert conditional == {"clone", "personality", "socket"}
    assert not allowed & conditional


def test_launcher_argument_lists_what_to_unpack() -> None:
    words = oci_config.config(JOB, PATHS)["process"]["args"]
    assert words[:4] == ["/usr/bin/python3", "-I", "-B", "/usr/lib/cloister/agent_runtime/runner/launch.py"]
    assert json.loads(words[4]) == {
        "kind": "python",
        "algorithm": "/work/train.py",
        "args": ["--epochs", "1"],
        "launched": "/run/launched",
        "wheels": {"bundle": "/run/bundle.tar", "into": "/run/wheels"},
        "datasets": [{"from": "/run/packed/h2", "into": "/work/datasets/h2", "size": 1000}],
    }


def test_the_manifests_environment_is_added() -> None:
    assert "TORCH_HOME=datasets/weights" in oci_config.config(JOB, PATHS)["process"]["env"]


def test_every_packed_dataset_has_inodes_for_a_whole_archive() -> None:
    plain = replace(JOB, packed=())
    both = replace(JOB, packed=(PackedDataset("d1", 10), PackedDataset("d2", 10)))
    assert oci_config.upper_inodes(both) - oci_config.upper_inodes(plain) == 2 * limits.MAX_ENTRIES


def test_links_that_no_cgroup_counts_are_bounded_by_the_inodes_of_every_writable_file_system() -> None:
    job = replace(JOB, memory=1 << 40, wheels=True)
    inodes = {
        one["destination"]: int(option.partition("=")[2])
        for one in oci_config.config(job, PATHS)["mounts"]
        for option in one["options"]
        if option.startswith("nr_inodes=") and "ro" not in one["options"]
    }
    small = {"/dev": 64, "/var": 4}
    assert {name: inodes[name] for name in small} == small
    counted = sum(inodes.values()) - sum(small.values()) + oci_config.RESULT_INODES + oci_config.upper_inodes(job)
    assert oci_config.uncharged(job) == 128 * counted


@pytest.mark.parametrize("memory", [64 << 20, 256 << 20, 512 << 20])
def test_links_that_no_cgroup_counts_are_bounded_by_what_it_counts_for_each(memory: int) -> None:
    job = replace(JOB, memory=memory, packed=())
    assert oci_config.uncharged(job) == oci_config.memory_limit(job) // 7


def test_wheels_and_datasets_have_links_of_their_own() -> None:
    job = replace(JOB, memory=1 << 40, wheels=False, packed=())
    more = [replace(job, wheels=True), replace(job, packed=(PackedDataset("a", 1),))]
    grown = [oci_config.uncharged(one) - oci_config.uncharged(job) for one in more]
    assert grown == [128 * oci_config.WHEEL_INODES, 128 * limits.MAX_ENTRIES]


ON_DISK = ScratchJob(
    uploaded=0, seal=None, unpacked=1 << 30, datasets=("h2",), wheels=True, image=False, written=1 << 30
)


def test_what_is_on_the_scratch_disk_takes_no_memory() -> None:
    job = replace(JOB, memory=1 << 30, scratch=ON_DISK)
    assert oci_config.memory_limit(job) == job.memory
    less = replace(job, scratch=replace(ON_DISK, written=0, datasets=()))
    assert oci_config.memory_limit(less) == job.memory + 1000 + job.results + oci_config.RESULT_SLACK
    assert oci_config.memory_limit(replace(job, memory=1)) == oci_config.PACKER_MEMORY + (1 << 16)


def test_wheels_and_temporary_files_are_mounted_from_the_scratch_disk() -> None:
    mounts = {one["destination"]: one for one in oci_config.config(replace(JOB, scratch=ON_DISK), PATHS)["mounts"]}
    assert mounts["/run/wheels"]["source"] == str(PATHS.wheels)
    assert "ro" in mounts["/run/wheels"]["options"]
    assert mounts["/tmp"]["source"] == str(PATHS.temporary)
    assert "/run/bundle.tar" not in mounts
    said = json.loads(oci_config.launcher_argument(replace(JOB, scratch=ON_DISK)))
    assert (said["wheels"], said["datasets"]) == ({"bundle": None, "into": "/run/wheels"}, [])


def test_the_packer_sees_only_what_it_unpacks() -> None:
    job = replace(JOB, scratch=ON_DISK)
    made, run = packing_config(job, PATHS), oci_config.config(job, PATHS)
    assert {name for name in made if made[name] != run[name]} == {"process", "mounts"}
    differing = {name for name in made["process"] if made["process"][name] != run["process"][name]}
    assert differing == {"args", "env"}
    sources = {one["source"]: one for one in made["mounts"] if one["type"] == "bind"}
    assert set(sources) == {str(PATHS.bundle), str(PATHS.packed / "h2")}
    assert all("ro" in one["options"] for one in sources.values())
