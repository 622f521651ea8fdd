"""Uploading assets: the agreed files, to an accepted machine that runs the agreed manifest, with consent.

An interrupted upload resumes where it stopped, in the same call or in a later one.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cloister.attestation.result.verdict import Verdict
from cloister.client.computation.algorithm_files import find_bundle, find_files, program_of
from cloister.client.computation.asset import LocalAsset, check_asset, dataset_of
from cloister.client.computation.asset_upload import Uploaded, upload_asset
from cloister.client.computation.review import rollback
from cloister.client.connection.connection import Connection
from cloister.client.connection.report import TransferReport
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import TextTable, one_line
from cloister.client.packages.memory import require_memory
from cloister.client.script.examination import examine
from cloister.errors import CloisterError, InputError
from cloister.protocol import names
from cloister.protocol.manifest import Asset, Manifest
from cloister.units import format_size
from cloister.userfile import FilePath

_AT_ONCE = 4
"""Uploads at one time: small assets do not wait for each other's answers, and a distant machine gets more at once."""


class Uploads(tuple[Uploaded, ...]):
    """The assets that the agent has, in the order of their files."""

    __slots__ = ()

    def __repr__(self) -> str:
        return one_line(f"Uploads: {', '.join(one.asset.name for one in self) or 'none'}")

    def _repr_html_(self) -> str:
        columns = (("Asset", "name"), ("File", "text"), ("Size", "text"), ("Sent", "text"), ("SHA-256", "code"))
        rows = [
            (
                one.asset.name,
                one.asset.file,
                format_size(one.asset.size),
                format_size(one.sent) if one.sent else "the machine already had it",
                one.asset.digest,
            )
            for one in self
        ]
        return fragment("Uploaded, with your consent", TextTable.of(columns, rows))


class UploadReport(TransferReport):
    """Also reports warnings, the verdict and every uploaded asset. Several transfers may be open at one time, and what
    concerns one is called in its thread.
    """

    def warned(self, said: str) -> None:
        """Called with what may fail in the guest, or what no one would notice there, before anything is sent."""

    def warned_of(self, *said: str) -> None:
        """Report each warning that is not empty."""
        for one in filter(None, said):
            self.warned(one)

    def accepted(self, verdict: Verdict) -> None:
        """Called with the verdict on the machine, before anything is sent."""

    def sent(self, remaining: int) -> None:
        """Called when the last byte of an asset was sent, which the agent has not confirmed; ``remaining`` follow."""

    def uploaded(self, one: Uploaded) -> None:
        """Called for every asset that the agent has, at the end."""


def upload_algorithm(
    connection: Connection,
    manifest: Manifest,
    path: FilePath,
    *,
    bundle: FilePath | None = None,
    files: Mapping[str, Path] | None = None,
    report: UploadReport | None = None,
) -> Uploads:
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
    path = Path(path)
    bundle = Path(bundle) if bundle is not None else None
    algorithm = manifest.algorithm
    assets = [(algorithm.asset, path), *find_bundle(algorithm, path, bundle), *find_files(algorithm, path, files or {})]
    told = report or UploadReport()
    found = examine(program_of(manifest, dict(assets)))
    told.warned_of(require_memory(manifest.limits, manifest.results.max_size, found.unpacked_size), *found.warnings)
    return upload_assets(connection, manifest, assets, report=report)


def upload_datasets(
    connection: Connection,
    manifest: Manifest,
    paths: Sequence[Path],
    *,
    name: str | None = None,
    report: UploadReport | None = None,
) -> Uploads:
    """Upload datasets with the provider's consent, several at once.

    Args:
        connection: of the datasets' provider; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        paths: the files or folders.
        name: the dataset's name in the manifest, for a single path; None for the only one of this key, or the one with
            the file's name.
        report: called on the way; None for no reports.

    Returns:
        The uploaded datasets.

    Raises:
        InputError: a dataset is ambiguous, unknown or named twice, or a file is not what the manifest says.
        ProofError: the policy rejects the machine, or it runs another manifest.
        RefusedError: the agent refuses the upload.
        UnreachableError: no agent answers, or the machine stays away.
    """
    if name is not None and len(paths) > 1:
        raise InputError(f"--name is for one file, not for {len(paths)}.", hint="Upload each with its own --name.")
    found: dict[Asset, Path] = {}
    for path in paths:
        asset = dataset_of(manifest, connection.key.public, name, path)
        if asset in found:
            raise InputError(
                f"{found[asset]} and {path} are both for the dataset {asset.name}.",
                hint="Name one file for each dataset; one with another file's name needs --name.",
            )
        found[asset] = path
    return upload_assets(connection, manifest, list(found.items()), report=report)


def upload_assets(
    connection: Connection,
    manifest: Manifest,
    files: Sequence[tuple[Asset, Path]],
    *,
    report: UploadReport | None = None,
    permit: Callable[[Verdict], None] | None = None,
) -> Uploads:
    """Check all files against the manifest, then appraise the machine, then upload several at once.

    Args:
        connection: of the assets' provider; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        files: the assets, each with its file or folder.
        report: called on the way; None for no reports.
        permit: called with the verdict on each session's machine, when everything is checked and nothing is sent to it;
            an error ends the upload.

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
    with connection.permitting(permit) if permit is not None else contextlib.nullcontext():
        told.accepted(connection.verdict())
        told.warned_of(rollback(manifest))
        uploads = _Uploads(connection, manifest, list(zip(files, checked, strict=True)), told)
        try:
            uploads.run()
        finally:
            for one in uploads.done():
                told.uploaded(one)
    return uploads.done()


class _Uploads:
    """The uploads of checked assets: one here, several in threads, which share the connection."""

    def __init__(
        self,
        connection: Connection,
        manifest: Manifest,
        files: Sequence[tuple[tuple[Asset, Path], LocalAsset]],
        told: UploadReport,
    ) -> None:
        self._connection = connection
        self._manifest = manifest
        self._told = told
        self._left = deque((number, asset, found) for number, ((asset, _), found) in enumerate(files))
        self._unsent = {asset.name for (asset, _), _ in files}
        self._done: dict[int, Uploaded] = {}
        self._failed: dict[int, BaseException] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def done(self) -> Uploads:
        """What was uploaded, in the order of the files."""
        return Uploads(self._done[number] for number in sorted(self._done))

    def run(self) -> None:
        """Upload all. After a failure no other begins; those that have begun end. Raises the first failure."""
        threads = [
            threading.Thread(target=self._work, name="upload", daemon=True)
            for _ in range(min(_AT_ONCE, len(self._left)) - 1)
        ]
        for thread in threads:
            thread.start()
        try:
            self._work()
            for thread in threads:
                thread.join()
        except BaseException:
            # Ctrl-C: the others end as soon as the connection is closed.
            self._stopped = True
            raise
        for number in sorted(self._failed):
            raise self._failed[number]

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._stopped or self._failed or not self._left:
                    return
                number, asset, found = self._left.popleft()
            try:
                self._done[number] = self._upload(asset, found)
            except Exception as error:  # noqa: BLE001 - raised again by run()
                self._failed[number] = error

    def _upload(self, asset: Asset, found: LocalAsset) -> Uploaded:
        with self._told.transfer(f"Uploading {asset.name}", asset.size) as progress:

            def shown(done: int, size: int) -> None:
                progress(done, size)
                if done == size:
                    self._sent(asset)

            return upload_asset(
                self._connection, self._manifest, asset, found, progress=shown, interrupted=self._interrupted
            )

    def _interrupted(self, error: CloisterError, pause: float) -> None:
        if self._stopped:
            raise error
        self._told.interrupted(error, pause)

    def _sent(self, asset: Asset) -> None:
        with self._lock:
            self._unsent.discard(asset.name)
            remaining = len(self._unsent)
        self._told.sent(remaining)
