"""Translates a manifest into a job for the runner, and checks that this version can run it."""

from collections.abc import Mapping

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.runner.kinds.image_config import unpacker_argument
from agent_runtime.runner.oci_config import MAX_ARGUMENT, launcher_argument
from agent_runtime.runner.protocol import Job, JobContainer, PackedDataset, PlacedFile, ScratchJob
from cloister.protocol.manifest import Manifest
from cloister.protocol.wheels import image_packages


def build_job(manifest: Manifest, scratch: ScratchJob | None = None) -> Job:
    """The job that a manifest declares, with what it has on the scratch disk."""
    container = manifest.algorithm.container
    plain = tuple(data.file for data in manifest.datasets if not data.unpack)
    return Job(
        kind=manifest.algorithm.kind,
        algorithm=manifest.algorithm.asset.file,
        wheels=manifest.algorithm.bundle is not None,
        files=tuple(PlacedFile(one.name, one.at) for one in manifest.algorithm.files),
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
        scratch=scratch,
        container=None if container is None else JobContainer(container.digest, container.unpacked_size),
    )


def check_supported(manifest: Manifest) -> None:
    """Raises CallRefusal MANIFEST_INVALID for a manifest whose algorithm cannot start."""
    algorithm, job = manifest.algorithm, build_job(manifest)
    said = launcher_argument(job) if job.container is None else unpacker_argument(job)
    if len(said) >= MAX_ARGUMENT:
        both = algorithm.kind in ("wasm", "oci")
        what = "algorithm.args with algorithm.environment" if both else "algorithm.args"
        message = f"{what} is too long: the launcher's argument must be shorter than {MAX_ARGUMENT} bytes."
        raise CallRefusal(Reason.MANIFEST_INVALID, message)


def check_image(manifest: Manifest, packages: Mapping[str, str]) -> None:
    """Raises CallRefusal IMAGE_PACKAGES unless the image has what the algorithm counts on; ``packages`` are its own.

    What the manifest says of the image is its author's word: without this check the algorithm would run with others.
    """
    if said := image_packages.missing(manifest.algorithm.image_packages, packages):
        message = f"The algorithm counts on packages that this machine's image does not have: {said}."
        raise CallRefusal(Reason.IMAGE_PACKAGES, message)
