"""The OCI runtime configurations for an image of a container: in which it is unpacked, and in which it runs."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from agent_runtime.runner.oci_config import (
    INODES,
    LAUNCHED,
    MACHINE,
    PACKED,
    PACKER_MEMORY,
    PROCESS_UID,
    PYTHON,
    SandboxHost,
    SandboxPaths,
    bind_entry,
    config,
    image_size,
    mount_entry,
    mounts,
    tmpfs_entry,
    unpacked_size,
)
from agent_runtime.runner.protocol import Job
from cloister.protocol.containers import limits
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.process import ContainerProcess
from cloister.protocol.placement import WORK

UNPACKER = "/usr/lib/cloister/agent_runtime/runner/kinds/unpack_image.py"
ROOT, PROCESS = "root", "process.json"
"""Names in the folder of an unpacked image: its root file system, and what is started in it."""

ARCHIVE = "/run/image.tar"
_IMAGE, _DATASETS = "/run/image", "/run/datasets"
_RIGHTS = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER")
"""What it takes to give files to their owners, in the sandbox's own user namespace."""


def unpacking_config(
    job: Job, paths: SandboxPaths, host: SandboxHost = MACHINE, process: ContainerProcess | None = None
) -> dict[str, Any]:
    """That of a run, with the program that unpacks, and the image instead of the algorithm's folders.

    The program is the sandbox's root, so that files get their owners; a sandbox with one user has none. It unpacks
    datasets only if the image is on the scratch disk, with its ``process``.
    """
    made = config(job, paths, host)
    user = 0 if host.has_many else PROCESS_UID
    made["process"] |= {
        "args": [PYTHON, "-I", "-B", UNPACKER, unpacker_argument(job, host, process)],
        "env": ["LANG=C.UTF-8"],
        "user": {"uid": user, "gid": user, "umask": 0o022},
    }
    if host.has_many:
        held = {"bounding", "effective", "permitted"}
        rights = made["process"]["capabilities"]
        made["process"]["capabilities"] = {name: list(_RIGHTS) if name in held else [] for name in rights}
    if "resources" in made["linux"]:
        limit = max(job.memory, PACKER_MEMORY) + image_size(job) + unpacked_size(job)
        made["linux"]["resources"]["memory"] = {"limit": limit, "swap": limit}
    made["mounts"] = [
        *mounts(job, paths, packing=True),
        *([] if process is not None else [bind_entry(paths.algorithm, ARCHIVE, "ro")]),
        *([] if process is not None else [bind_entry(paths.image, _IMAGE, "rw", "noexec")]),
        bind_entry(paths.room, _DATASETS, "rw", "noexec"),
        bind_entry(paths.launched, LAUNCHED, "rw", "noexec"),
    ]
    return made


def image_request(job: Job) -> dict[str, Any]:
    """An image to unpack, and what the manifest says about its process."""
    container = job.container
    return {
        "archive": ARCHIVE,
        "digest": "" if container is None else container.digest,
        "size": 0 if container is None else container.size,
        "args": list(job.args),
        "environment": dict(job.environment),
    }


def unpacker_argument(job: Job, host: SandboxHost = MACHINE, process: ContainerProcess | None = None) -> str:
    """The unpacker's argument (JSON): what it unpacks."""
    image = {**image_request(job), "into": f"{_IMAGE}/{ROOT}", "process": f"{_IMAGE}/{PROCESS}"}
    return json.dumps(
        {
            "image": image if process is None else None,
            "user": None if process is None else [process.user, process.group],
            "owns": host.has_many,
            "launched": LAUNCHED,
            "datasets": [
                {"from": f"{PACKED}/{item.name}", "into": f"{_DATASETS}/{item.name}", "size": item.size}
                for item in job.packed_in_memory
            ],
        },
        sort_keys=True,
    )


def read_process(folder: Path) -> ContainerProcess:
    """The process of the image that was unpacked into ``folder``. Raises OSError: the sandbox wrote it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(folder / PROCESS, flags), "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode) or (folder / ROOT).is_symlink():
            raise OSError("the unpacked image is not of the expected form")
        data = stream.read(limits.MAX_PROCESS + 1)
    try:
        return ContainerProcess.parse(data)
    except ContainerError as error:
        raise OSError(f"the unpacked image is not of the expected form: {error.message}") from error


def container_config(
    job: Job, paths: SandboxPaths, process: ContainerProcess, host: SandboxHost = MACHINE
) -> dict[str, Any]:
    """That of a run, with the image's files instead of the machine's, and its process."""
    made = config(job, paths, host)
    user = {"uid": process.user, "gid": process.group, "umask": 0o022}
    if process.groups:
        user["additionalGids"] = list(process.groups)
    if not host.has_many:
        user = {"uid": PROCESS_UID, "gid": PROCESS_UID, "umask": 0o022}
    made["process"] |= {
        "args": list(process.args),
        "env": list(process.environment),
        "cwd": process.folder,
        "user": user,
    }
    made["root"] = {"path": str(paths.image / ROOT), "readonly": True}
    made["mounts"] = _mounts(job, paths)
    return made


def _mounts(job: Job, paths: SandboxPaths) -> list[dict[str, Any]]:
    """As `podman run --read-only` has them, and the working folder."""
    memory = str(job.memory)
    temporary = tmpfs_entry("/tmp", memory, INODES, "nodev", "mode=1777")  # noqa: S108 - inside the sandbox
    if job.written:
        temporary = bind_entry(paths.temporary, "/tmp", "rw")  # noqa: S108
    return [
        mount_entry("/proc", "proc", "nosuid", "noexec", "nodev"),
        tmpfs_entry("/dev", "64k", 64, "noexec", "mode=755"),
        tmpfs_entry("/dev/shm", memory, INODES, "nodev", "noexec", "mode=1777"),  # noqa: S108
        tmpfs_entry("/sys", "4k", 4, "nodev", "noexec", "ro"),
        tmpfs_entry("/run", memory, INODES, "nodev", "noexec", "mode=1777"),
        tmpfs_entry("/var/tmp", memory, INODES, "nodev", "mode=1777"),  # noqa: S108
        temporary,
        bind_entry(paths.rootfs / "etc/hosts", "/etc/hosts", "ro", "noexec"),
        bind_entry(paths.work, WORK, "ro"),
        *(bind_entry(paths.files / item.name, f"{WORK}/{item.at}", "ro") for item in job.files),
        bind_entry(paths.datasets, f"{WORK}/datasets", "rw"),
        bind_entry(paths.results, f"{WORK}/results", "rw", "noexec"),
    ]
