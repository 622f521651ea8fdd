"""The OCI runtime configuration in which datasets, wheels and images are unpacked to the scratch disk before a run."""

import json
from typing import Any

from agent_runtime.runner.kinds.image_config import ARCHIVE, PROCESS, ROOT, image_request
from agent_runtime.runner.oci_config import (
    BUNDLE,
    MACHINE,
    PACKED,
    PYTHON,
    SandboxHost,
    SandboxPaths,
    bind_entry,
    config,
    mounts,
)
from agent_runtime.runner.protocol import Job

PACKER = "/usr/lib/cloister/agent_runtime/runner/pack.py"


def packing_config(job: Job, paths: SandboxPaths, host: SandboxHost = MACHINE) -> dict[str, Any]:
    """That of the run, with another program, and without what the algorithm sees or writes."""
    made = config(job, paths, host)
    made["process"] |= {"args": [PYTHON, "-I", "-B", PACKER, packer_argument(job, host)], "env": ["LANG=C.UTF-8"]}
    image = [bind_entry(paths.algorithm, ARCHIVE, "ro")] if job.packs_image else []
    made["mounts"] = [*mounts(job, paths, packing=True), *image]
    return made


def packer_argument(job: Job, host: SandboxHost) -> str:
    """The packer's argument (JSON): what it unpacks."""
    return json.dumps(
        {
            "size": job.scratch.unpacked if job.scratch is not None else 0,
            "owner": host.owner,
            # Which user an image has is not known yet.
            "shared": job.container is not None,
            "first": host.mapped(0),
            "image": {**image_request(job), "root": ROOT, "process": PROCESS} if job.packs_image else None,
            "bundle": BUNDLE if job.packs_wheels else None,
            "datasets": [
                {"from": f"{PACKED}/{item.name}", "name": item.name, "size": item.size} for item in job.packed_to_disk
            ],
        },
        sort_keys=True,
    )
