"""Uploading assets: the agreed files, to an accepted machine that runs the agreed manifest, with consent.

An interrupted upload resumes where it stopped, in the same call or in a later one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cloister.attestation.result import Verdict
from cloister.client.computation.algorithm_files import find_bundle, find_files, program_of
from cloister.client.computation.asset import check_asset, dataset_of, open_asset
from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.report import Progress, TransferReport
from cloister.client.connection.retry import TRANSFER_PAUSES, Backoff, Interrupted
from cloister.client.connection.session import Session
from cloister.client.files.keys import Key
from cloister.client.packages.memory import require_memory
from cloister.client.script.examination import examine
from cloister.errors import CloisterError, InputError, ProofError
from cloister.protocol import names, transcript
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2


@dataclass(frozen=True)
class Uploaded:
    """An asset that the agent has completely. ``sent`` counts the bytes that this call sent."""

    asset: Asset
    sent: int


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
    for asset, path in files:
        with told.transfer(f"Checking {names.shown(asset.file)}", asset.size) as progress:
            found = check_asset(asset, path, lambda done, size=asset.size, show=progress: show(done, size))
        if asset.unpack:
            beyond = found.beyond(asset.unpacked_size)
            told.warned_of(require_memory(manifest.limits, manifest.results.max_size, 0, beyond))
    told.accepted(connection.verdict())
    uploads = []
    for remaining, (asset, path) in zip(reversed(range(len(files))), files, strict=True):
        with told.transfer(f"Uploading {asset.name}", asset.size) as progress:

            def shown(done: int, size: int, show: Progress = progress, remaining: int = remaining) -> None:
                show(done, size)
                if done == size:
                    told.sent(remaining)

            one = upload_asset(connection, manifest, asset, path, progress=shown, interrupted=told.interrupted)
        told.uploaded(one)
        uploads.append(one)
    return tuple(uploads)


def upload_asset(
    connection: Connection,
    manifest: Manifest,
    asset: Asset,
    path: Path,
    *,
    progress: Progress = lambda done, size: None,
    interrupted: Interrupted = lambda error, pause: None,
) -> Uploaded:
    """Upload an asset that :func:`check_asset` accepts, and resume after interruptions.

    ``connection`` must demand this manifest, so that every session's verdict compares it with the machine's.
    Raises CloisterError: Refusal, or ConnectionLost when the machine stays away.
    """
    if connection.target.manifest_digest != manifest.digest():
        raise InputError(
            "The connection was not made for this manifest.", hint="Make it for a Target with the manifest's digest."
        )
    sender = _Sender(connection, manifest, asset, progress)
    with open_asset(path) as stream:
        backoff = Backoff(TRANSFER_PAUSES, interrupted)
        while True:
            before = sender.reached
            try:
                sender.attempt(stream)
            except CloisterError as error:
                if not is_interruption(error):
                    raise
                connection.close()
                if sender.reached > before:
                    backoff.reset()
                backoff.wait(error)
            else:
                return Uploaded(asset, sender.sent)


def consent(key: Key, manifest: Manifest, asset: Asset, session: Session) -> bytes:
    """A provider's signature that permits the use of one asset in one computation, given in one session."""
    return key.sign(
        transcript.consent_message(
            manifest_digest=manifest.digest(),
            asset=asset.name,
            asset_digest=bytes.fromhex(asset.digest),
            transcript=session.transcript,
        )
    )


class _Sender:
    """Attempts to upload one asset. ``reached`` is how far the agent has it, ``sent`` the bytes of all attempts."""

    def __init__(self, connection: Connection, manifest: Manifest, asset: Asset, progress: Progress) -> None:
        self._connection = connection
        self._manifest = manifest
        self._asset = asset
        self._progress = progress
        self.reached = 0
        self.sent = 0
        self._done = 0

    def attempt(self, stream: BinaryIO) -> None:
        """One stream, from the first byte that the agent does not have to the end."""
        session = self._connection.session()
        at = session.upload_offset(self._asset.name)
        self.reached = at.offset
        if at.complete:
            self._progress(self._asset.size, self._asset.size)
            return
        if at.offset > self._asset.size:
            raise ProofError(
                f"The agent reports {at.offset} bytes of {self._asset.name}, which has only {self._asset.size}."
            )
        given = consent(self._connection.key, self._manifest, self._asset, session)
        start = agent_pb2.UploadStart(asset=self._asset.name, consent=given, offset=at.offset)
        remaining = self._asset.size - at.offset
        self._done = at.offset
        self._progress(at.offset, self._asset.size)
        done = session.upload_asset(start, lambda: self._pieces(stream, at.offset), remaining, self._count)
        self.reached = done.offset
        if not done.complete:
            raise CloisterError(
                f"The agent reports {self._asset.name} as incomplete after {done.offset} of {self._asset.size} bytes."
            )

    def _pieces(self, stream: BinaryIO, offset: int) -> Iterator[memoryview]:
        stream.seek(offset)
        done = offset
        buffer = memoryview(bytearray(FRAME_SIZE))
        while done < self._asset.size:
            wanted = min(FRAME_SIZE, self._asset.size - done)
            size = _fill(stream, buffer[:wanted])
            if size < wanted:
                raise InputError(
                    f"{names.shown(self._asset.file)} was truncated after it was checked.",
                    hint="Do not change it during the upload.",
                )
            yield buffer[:size]
            done += size

    def _count(self, size: int) -> None:
        self.sent += size
        self._done += size
        self._progress(self._done, self._asset.size)


def _fill(stream: BinaryIO, target: memoryview) -> int:
    """Read into ``target`` until it is full or the stream ends; the bytes read."""
    size = 0
    while size < len(target) and (more := stream.readinto(target[size:])):  # ty: ignore[missing-attribute]
        size += more
    return size
