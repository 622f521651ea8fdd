"""Uploading assets: the agreed files, to an accepted machine that runs the agreed manifest, with consent.

An interrupted upload resumes where it stopped, in the same call or in a later one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cloister.attestation.result import Verdict
from cloister.client.computation.algorithm_files import find_bundle, find_files, program_of
from cloister.client.computation.asset import check_asset, dataset_of
from cloister.client.computation.asset_upload import Uploaded, upload_asset
from cloister.client.connection.connection import Connection
from cloister.client.connection.report import Progress, TransferReport
from cloister.client.packages.memory import require_memory
from cloister.client.script.examination import examine
from cloister.protocol import names
from cloister.protocol.manifest import Asset, Manifest


class UploadReport(TransferReport):
    """Also reports warnings, the verdict and every uploaded asset."""

    def warned(self, said: str) -> None:
        """Called with what may fail in the guest, before anything is sent."""

    def warned_of(self, *said: str) -> None:
        """Report each warning that is not empty."""
        for one in filter(None, said):
            self.warned(one)

    def accepted(self, verdict: Verdict) -> None:
        """Called with the verdict on the machine, before anything is sent."""

    def sent(self, remaining: int) -> None:
        """Called when the last byte of an asset was sent, which the agent has not confirmed; ``remaining`` follow."""

    def uploaded(self, one: Uploaded) -> None:
        """Called when the agent has all of an asset."""


def upload_algorithm(
    connection: Connection,
    manifest: Manifest,
    path: Path,
    *,
    bundle: Path | None = None,
    files: Mapping[str, Path] | None = None,
    report: UploadReport | None = None,
) -> tuple[Uploaded, ...]:
    """Upload the algorithm, and its bundle and files if the manifest has them, with the provider's consent.

    Args:
        connection: of the algorithm provider; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        path: the algorithm.
        bundle: the bundle; None for the file beside the algorithm that the manifest names.
        files: the algorithm's files by asset name. A missing one is looked for beside the algorithm: at the place that
            the manifest gives it, and by its file name.
        report: called on the way; None for no reports.

    Returns:
        The uploaded assets.

    Raises:
        InputError: a file is not what the manifest says, a bundle or file is missing or not in the manifest, or the
            guest cannot run the algorithm.
        ProofError: the policy rejects the machine, or it runs another manifest.
        RefusedError: the agent refuses the upload.
        UnreachableError: no agent answers, or the machine stays away.
    """
    algorithm = manifest.algorithm
    assets = [(algorithm.asset, path), *find_bundle(algorithm, path, bundle), *find_files(algorithm, path, files or {})]
    told = report or UploadReport()
    found = examine(program_of(manifest, dict(assets)))
    told.warned_of(require_memory(manifest.limits, manifest.results.max_size, found.unpacked_size), *found.warnings)
    return upload_assets(connection, manifest, assets, report=report)


def upload_dataset(
    connection: Connection,
    manifest: Manifest,
    path: Path,
    *,
    name: str | None = None,
    report: UploadReport | None = None,
) -> tuple[Uploaded, ...]:
    """Upload a dataset with the provider's consent.

    Args:
        connection: of the dataset provider; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        path: the file or folder.
        name: the dataset's name in the manifest; None for the only one of this key, or the one with the file's name.
        report: called on the way; None for no reports.

    Returns:
        The uploaded dataset.

    Raises:
        InputError: the dataset is ambiguous or unknown, or the file is not what the manifest says.
        ProofError: the policy rejects the machine, or it runs another manifest.
        RefusedError: the agent refuses the upload.
        UnreachableError: no agent answers, or the machine stays away.
    """
    asset = dataset_of(manifest, connection.key.public, name, path)
    return upload_assets(connection, manifest, [(asset, path)], report=report)


def upload_assets(
    connection: Connection,
    manifest: Manifest,
    files: Sequence[tuple[Asset, Path]],
    *,
    report: UploadReport | None = None,
) -> tuple[Uploaded, ...]:
    """Check all files against the manifest, then appraise the machine, then upload.

    Args:
        connection: of the assets' provider; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        files: the assets, each with its file or folder.
        report: called on the way; None for no reports.

    Returns:
        The uploaded assets, in the same order.

    Raises:
        InputError: a file is not what the manifest says, or takes too much memory. Nothing was uploaded then.
        ProofError: the policy rejects the machine, or it runs another manifest.
        RefusedError: the agent refuses an upload.
        UnreachableError: no agent answers, or the machine stays away.
    """
    told = report or UploadReport()
    checked = []
    for asset, path in files:
        with told.transfer(f"Checking {names.shown(asset.file)}", asset.size) as progress:
            checked.append(check_asset(asset, path, lambda done, size=asset.size, show=progress: show(done, size)))
        if asset.unpack:
            beyond = checked[-1].beyond(asset.unpacked_size)
            told.warned_of(require_memory(manifest.limits, manifest.results.max_size, 0, beyond))
    told.accepted(connection.verdict())
    uploads = []
    for remaining, (asset, _), found in zip(reversed(range(len(files))), files, checked, strict=True):
        with told.transfer(f"Uploading {asset.name}", asset.size) as progress:

            def shown(done: int, size: int, show: Progress = progress, remaining: int = remaining) -> None:
                show(done, size)
                if done == size:
                    told.sent(remaining)

            one = upload_asset(connection, manifest, asset, found, progress=shown, interrupted=told.interrupted)
        told.uploaded(one)
        uploads.append(one)
    return tuple(uploads)
