"""The run that a manifest declares, and whether this version can carry it out."""

from agent_runtime.errors import Reason, Refusal
from agent_runtime.runner.oci_config import MAX_ARGUMENT, launcher_argument
from agent_runtime.runner.protocol import OWN_NAMES, Job, PackedDataset
from cloister.protocol.manifest import KINDS, Manifest


def build_job(manifest: Manifest) -> Job:
    """The run that a manifest declares."""
    plain = tuple(data.file for data in manifest.datasets if not data.unpack)
    return Job(
        kind=manifest.algorithm.kind,
        algorithm=manifest.algorithm.asset.file,
        wheels=manifest.algorithm.bundle is not None,
        datasets=plain,
        packed=tuple(PackedDataset(data.name, data.unpacked_size) for data in manifest.datasets if data.unpack),
        args=manifest.algorithm.args,
        environment=dict(manifest.algorithm.environment),
        seconds=manifest.limits.time,
        memory=manifest.limits.memory,
        cpus=manifest.limits.cpus,
        processes=manifest.limits.processes,
        results=manifest.results.max_size,
        output=manifest.logs.max_size,
    )


def check_supported(manifest: Manifest) -> None:
    """Raises Refusal UNSUPPORTED_KIND or MANIFEST_INVALID for a manifest whose run would not start."""
    algorithm = manifest.algorithm
    if algorithm.kind not in KINDS:
        raise Refusal(
            Reason.UNSUPPORTED_KIND,
            f"This version runs algorithms of kind python; the manifest has one of kind {algorithm.kind}.",
            kind=algorithm.kind,
        )
    if len(launcher_argument(build_job(manifest))) >= MAX_ARGUMENT:
        raise Refusal(
            Reason.MANIFEST_INVALID, f"The algorithm's arguments are longer than {MAX_ARGUMENT} bytes together."
        )
    if algorithm.asset.file in OWN_NAMES:
        raise Refusal(
            Reason.MANIFEST_INVALID,
            f"The algorithm's file cannot be called {algorithm.asset.file}: a folder is called so already.",
        )
