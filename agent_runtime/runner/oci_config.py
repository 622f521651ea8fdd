"""The OCI runtime configuration of a sandbox: a fixed template with the values of a :class:`Job`.

Long because the whole template is here.

Source: OCI Runtime Specification 1.0.2, config.md and config-linux.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime.runner.protocol import Job
from cloister.protocol import placement
from cloister.protocol.archives.limits import MAX_ENTRIES
from cloister.protocol.containers import limits as containers
from cloister.protocol.placement import WORK
from cloister.protocol.volume import tree_memory
from cloister.protocol.wheels import installation

MAPPED_BASE = 100_000
"""The id outside of the sandbox of its user and group 0."""

MAPPED_COUNT = 65_536
PROCESS_UID = 1000
PARENT_CGROUP = "run"
CGROUP = f"/{PARENT_CGROUP}/algorithm"
PYTHON = "/usr/bin/python3"
LAUNCHER = "/usr/lib/cloister/agent_runtime/runner/launch.py"
PACKER_MEMORY = 512 * 1024 * 1024
"""Bytes of memory for unpacking to the scratch disk: names, places and digests of all files, and the decompression."""

_PACKED_ENTRY = 1024
"""The same for each file, folder and link of a container image beyond that."""

BUNDLE, WHEELS, PACKED = "/run/bundle.tar", "/run/wheels", "/run/packed"
LAUNCHED = "/run/launched"
"""The pipe that the launcher writes to. The algorithm can write to it later but cannot remove that byte."""

MAX_ARGUMENT = 128 * 1024
"""Maximum bytes of the launcher's argument, including its zero byte (execve(2), MAX_ARG_STRLEN)."""

HOST_NAME = "algorithm"
"""The sandbox's host name. The image's /etc/hosts has it, with the addresses of the loopback interface."""

INODES = 262_144
"""Files and folders in each of the file systems that the algorithm may fill: twice as many as a large folder of
pictures has. Inodes and pages count in the cgroup; what does not, the targets of short links, :func:`uncharged` bounds.
"""

WHEEL_INODES = installation.MAX_INODES
RESULT_SLACK = 1024 * 1024
"""Bytes of the results' file system beyond the declared maximum, so that counting finds an excess."""

RESULT_INODES = 8192
IMAGE_SLACK = 4 * 1024 * 1024
"""Bytes of an unpacked image's file system beyond its size: for the description of its process."""

IMAGE_INODES = containers.MAX_ENTRIES + 1024
_RUN_INODES = 1024
_LINK_TARGET = 128
"""Bytes of a link's target that tmpfs keeps beside the inode and charges to no cgroup (Linux, mm/shmem.c:
SHORT_SYMLINK_LEN). A longer one is in a page, which is charged."""

_LINK_SHARE = 7
"""What is charged for each link (its inode and directory entry, 0.9 KiB) is at least this many times its target."""

_PYTHONS = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
_CPU_PERIOD = 100_000
_CAPABILITIES = ("bounding", "effective", "inheritable", "permitted", "ambient")
_NAMESPACES = ("pid", "ipc", "uts", "mount", "network", "cgroup", "user")
_MASKED = (
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
)
_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


@dataclass(frozen=True)
class SandboxHost:
    """What a sandbox takes from the system around it. The defaults are a machine's."""

    inside: int = 0
    """The first user and group id inside of the sandbox, mapped to ``outside`` and following."""

    outside: int = MAPPED_BASE
    count: int = MAPPED_COUNT
    cgroup: bool = True
    """Whether a cgroup holds the limits on memory, CPUs and processes."""

    rlimits: Mapping[str, int] = field(default_factory=dict)
    """Further resource limits, soft and hard, by name."""

    @property
    def owner(self) -> int:
        """The owner of the algorithm's files, outside of the sandbox."""
        return self.mapped(PROCESS_UID)

    @property
    def has_many(self) -> bool:
        """Whether the sandbox has more than one user, so that files can belong to several."""
        return self.count > 1

    def mapped(self, user: int) -> int:
        """The id outside of the sandbox of a user or group inside; of all of them, if there is only one."""
        return self.outside + (user - self.inside if self.has_many else 0)


MACHINE = SandboxHost()


@dataclass(frozen=True)
class SandboxPaths:
    """Paths outside of the sandbox that are mounted into it."""

    rootfs: Path
    """The guest's root file system, mounted read-only."""

    work: Path
    """The working directory, with mount points for the rest. Read-only."""

    datasets: Path
    """The datasets, with a bounded layer for the algorithm's changes."""

    results: Path
    """The folder that the algorithm writes its results to."""

    algorithm: Path
    """The algorithm's file, from the store."""

    bundle: Path
    """The bundle of wheels, from the store. Mounted if the job has one."""

    files: Path
    """The folder of the algorithm's files by asset name, from the store."""

    packed: Path
    """The folder of datasets to unpack, from the store."""

    launched: Path
    """The pipe that shows that the algorithm was started."""

    wheels: Path
    """The wheels, if they were installed to the scratch disk."""

    temporary: Path
    """The folder for /tmp, if what the algorithm writes is on the scratch disk."""

    image: Path
    """The folder of an unpacked image, and of what is said about it."""

    room: Path
    """Where datasets are unpacked before the run, if the algorithm is an image."""


def memory_limit(job: Job) -> int:
    """Memory limit of the cgroup in bytes: for processes, and for the files of the run that are in memory."""
    results = 0 if job.written else job.results + RESULT_SLACK
    # What is unpacked before the run of an image counts where its sandbox was: in the parent cgroup.
    unpacked = 0 if job.container else unpacked_size(job)
    return max(job.memory + unpacked + results, _packer_memory(job))


def _packer_memory(job: Job) -> int:
    """Bytes of memory for unpacking to the scratch disk."""
    if job.scratch is None or not job.packs:
        return 0
    entries = containers.most_entries(job.container.size) if job.container is not None and job.packs_image else 0
    return PACKER_MEMORY + tree_memory(job.scratch.unpacked) + entries * _PACKED_ENTRY


def needed_memory(job: Job) -> int:
    """Bytes of memory that the run needs: its limit, and what is unpacked in memory before the run of an image."""
    if job.container is None:
        return memory_limit(job)
    return max(memory_limit(job), PACKER_MEMORY) + image_size(job) + unpacked_size(job)


def image_size(job: Job) -> int:
    """Bytes of the file system of an image that is unpacked in memory, and of what is said about it."""
    return 0 if job.container is None or job.packs_image else job.container.size + IMAGE_SLACK


def uncharged(job: Job) -> int:
    """The most bytes that the run can take beyond its memory limit: its file systems filled with short links."""
    inodes = 2 * INODES + upper_inodes(job) + RESULT_INODES + _RUN_INODES + (WHEEL_INODES if job.wheels else 0)
    inodes += IMAGE_INODES + INODES if job.container and not job.packs_image else 0
    return min(inodes * _LINK_TARGET, needed_memory(job) // _LINK_SHARE)


def unpacked_size(job: Job) -> int:
    """Bytes of all datasets that are unpacked in memory."""
    return sum(packed.size for packed in job.packed_in_memory)


def upper_inodes(job: Job) -> int:
    """Inodes of the datasets' upper layer: what archives may have, and what the algorithm adds."""
    return INODES + len(job.packed_in_memory) * MAX_ENTRIES


def config(job: Job, paths: SandboxPaths, host: SandboxHost = MACHINE) -> dict[str, Any]:
    """The OCI configuration of a run."""
    mapping = [{"containerID": host.inside, "hostID": host.outside, "size": host.count}]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": PROCESS_UID, "gid": PROCESS_UID, "umask": 0o022},
            "args": [PYTHON, "-I", "-B", LAUNCHER, launcher_argument(job)],
            "env": environment(job),
            "cwd": WORK,
            "noNewPrivileges": True,
            "capabilities": {name: [] for name in _CAPABILITIES},
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 4096},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                *({"type": name, "soft": limit, "hard": limit} for name, limit in host.rlimits.items()),
            ],
            "oomScoreAdj": 500,
        },
        "root": {"path": str(paths.rootfs), "readonly": True},
        "hostname": HOST_NAME,
        "mounts": mounts(job, paths),
        "linux": {
            "namespaces": [{"type": name} for name in _NAMESPACES],
            "uidMappings": mapping,
            "gidMappings": mapping,
            **(_cgroup(job) if host.cgroup else {}),
            "maskedPaths": [f"/proc/{name}" for name in _MASKED],
            "readonlyPaths": [f"/proc/{name}" for name in _READ_ONLY],
            "seccomp": seccomp(),
        },
    }


def _cgroup(job: Job) -> dict[str, Any]:
    return {
        "cgroupsPath": CGROUP,
        "resources": {
            "memory": {"limit": memory_limit(job), "swap": memory_limit(job)},
            "pids": {"limit": job.processes},
            "cpu": {"quota": job.cpus * _CPU_PERIOD, "period": _CPU_PERIOD},
            "devices": [{"allow": False, "access": "rwm"}],
            "unified": {"memory.oom.group": "1"},
        },
    }


def launcher_argument(job: Job) -> str:
    """The launcher's argument (JSON): what it unpacks and then runs."""
    return json.dumps(
        {
            "kind": job.kind,
            "algorithm": f"{WORK}/{job.algorithm}",
            "args": list(job.args),
            **({"module": _module(job)} if job.kind == "wasm" else {}),
            "launched": LAUNCHED,
            "wheels": {"bundle": None if job.packs_wheels else BUNDLE, "into": WHEELS} if job.wheels else None,
            "datasets": [
                {"from": f"{PACKED}/{item.name}", "into": f"{WORK}/datasets/{item.name}", "size": item.size}
                for item in job.packed_in_memory
            ],
        },
        sort_keys=True,
    )


def _module(job: Job) -> dict[str, Any]:
    """What a WebAssembly module gets (``wasm_host.WasmRequest``): the manifest's environment, not the process's."""
    folders = {name: (f"{WORK}/{name}", True) for name in placement.OWN_NAMES}
    return {
        "module": f"{WORK}/{job.algorithm}",
        "args": [job.algorithm, *job.args],
        "environment": dict(job.environment),
        # The algorithm's files may lie anywhere in the working folder.
        "folders": {**({".": (WORK, False)} if job.files else {}), **folders},
    }


def environment(job: Job) -> list[str]:
    """The algorithm's environment: a few defaults, which the manifest may replace.

    That of a module is not its host's, where it could have native code loaded.
    """
    own = {
        "PATH": "/usr/bin",
        "HOME": "/tmp",  # noqa: S108 - inside the sandbox
        "LANG": "C.UTF-8",
        **(_PYTHONS if job.kind == "python" else {}),
    }
    given = {} if job.kind == "wasm" else dict(job.environment)
    return [f"{name}={value}" for name, value in sorted((own | given).items())]


def seccomp() -> dict[str, Any]:
    """The system calls that a run may make. seccomp.json names its source."""
    listed = json.loads(Path(__file__).with_name("seccomp.json").read_bytes())
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [
            {"names": listed["allowed"], "action": "SCMP_ACT_ALLOW"},
            *({**rule, "action": "SCMP_ACT_ALLOW"} for rule in listed["allowed_with"]),
        ],
    }


def mounts(job: Job, paths: SandboxPaths, *, packing: bool = False) -> list[dict[str, Any]]:
    """While packing, the algorithm's own folders are not there: they need what is packed."""
    temporary = tmpfs_entry("/tmp", str(job.memory), INODES, "nodev", "mode=1777")  # noqa: S108
    wheels = tmpfs_entry(WHEELS, str(job.memory), WHEEL_INODES, "nodev", "mode=1777")
    if job.written and not packing:
        temporary = bind_entry(paths.temporary, "/tmp", "rw")  # noqa: S108
    if job.packs_wheels:
        wheels = bind_entry(paths.wheels, WHEELS, "ro")
    own = [
        bind_entry(paths.work, WORK, "ro"),
        bind_entry(paths.algorithm, f"{WORK}/{job.algorithm}", "ro"),
        *(bind_entry(paths.files / item.name, f"{WORK}/{item.at}", "ro") for item in job.files),
        bind_entry(paths.datasets, f"{WORK}/datasets", "rw"),
        bind_entry(paths.results, f"{WORK}/results", "rw", "noexec"),
        bind_entry(paths.launched, LAUNCHED, "rw", "noexec"),
        *([wheels] if job.wheels else []),
    ]
    return [
        mount_entry("/proc", "proc", "nosuid", "noexec", "nodev"),
        tmpfs_entry("/dev", "64k", 64, "noexec", "mode=755"),
        tmpfs_entry("/dev/shm", str(job.memory), INODES, "nodev", "noexec", "mode=1777"),  # noqa: S108
        tmpfs_entry("/sys", "4k", 4, "nodev", "noexec", "ro"),
        tmpfs_entry("/run", "64k", _RUN_INODES, "nodev", "noexec", "mode=755"),
        tmpfs_entry("/var", "4k", 4, "nodev", "noexec", "mode=755"),
        temporary,
        *([mount_entry(WORK, "tmpfs", "nosuid", "nodev", "size=4k", "ro")] if packing else own),
        *([bind_entry(paths.bundle, BUNDLE, "ro")] if job.wheels and (packing or not job.packs_wheels) else []),
        *(bind_entry(paths.packed / item.name, f"{PACKED}/{item.name}", "ro") for item in job.packed),
    ]


def mount_entry(destination: str, kind: str, *options: str) -> dict[str, Any]:
    return {"destination": destination, "type": kind, "source": kind, "options": list(options)}


def tmpfs_entry(destination: str, size: str, inodes: int, *options: str) -> dict[str, Any]:
    return mount_entry(destination, "tmpfs", "nosuid", f"size={size}", f"nr_inodes={inodes}", *options)


def bind_entry(source: Path, destination: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": ["bind", "nosuid", "nodev", *options],
    }
