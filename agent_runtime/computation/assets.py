"""Stores uploaded assets in a tmpfs or on the scratch disk, each with a running hash and at most one writer."""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from agent_runtime.computation.scratch import Scratch
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.runner.protocol import ScratchJob
from agent_runtime.scratch.volume import Region
from cloister.protocol.manifest import Asset

FILES = "files"
DATASETS = "datasets"
PACKED = "packed"
"""Folders of the store: the algorithm's files by asset name, datasets by file name, as the algorithm sees them, and
archives to unpack by dataset name.
"""
_HASHING_THREADS = 8
"""They start when they are needed, as many as uploads run at one time."""

_FOLDERS = (FILES, DATASETS, PACKED)


def asset_path(folder: Path, asset: Asset) -> Path:
    """The path of an asset. The manifest's schema allows bare names only, so the path is inside ``folder``."""
    if asset.kind == "file":
        return folder / FILES / asset.name
    if asset.kind != "dataset":
        return folder / asset.name
    return folder / PACKED / asset.name if asset.unpack else folder / DATASETS / asset.file


@dataclass(frozen=True)
class Progress:
    """How many bytes of an asset have arrived."""

    offset: int
    complete: bool


class _AssetUpload:
    """State of one asset. ``writer`` counts the uploads that began; only the newest one may write."""

    def __init__(self, asset: Asset, path: Path) -> None:
        self.asset = asset
        self.path = path
        self.lock = threading.Lock()
        self.writer = 0
        self.complete = False
        self.file: FileIO | Region | None = None
        self.received = 0
        self.hash = hashlib.sha256()

    def progress(self) -> Progress:
        return Progress(self.received, self.complete)


class AssetStore:
    """The assets that the manifest declares, in ``folder``. Offset and hash survive the end of a session."""

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self.folder = folder
        self.scratch = scratch
        self._uploads: dict[str, _AssetUpload] = {}
        self._wiping = threading.Lock()
        # SHA-256 takes as long as writing, and both let other threads run.
        self._hashing = ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="hash")

    def declare(self, assets: Iterable[Asset]) -> None:
        """Prepare for the upload of these assets."""
        for name in _FOLDERS:
            (self.folder / name).mkdir(mode=0o755, parents=True, exist_ok=True)
        self._uploads = {asset.name: _AssetUpload(asset, asset_path(self.folder, asset)) for asset in assets}

    def seal(self, seconds: int) -> ScratchJob | None:
        """When all assets are complete: finish what is on the scratch disk. Raises OSError."""
        return self.scratch.seal(lambda asset: asset_path(Path(), asset), seconds=seconds)

    def asset(self, name: str) -> Asset:
        """The asset of this name. Raises CallRefusal UNKNOWN_ASSET."""
        return self._find(name).asset

    def progress(self, name: str) -> Progress:
        """Return how much of an asset has arrived."""
        upload = self._find(name)
        with upload.lock:
            return upload.progress()

    def begin(self, name: str) -> int:
        """Register a new writer of an asset. Earlier writers can no longer write."""
        upload = self._find(name)
        with upload.lock:
            upload.writer += 1
            return upload.writer

    def start(self, name: str, writer: int, offset: int) -> Progress:
        """Continue at ``offset``. Raises CallRefusal WRONG_OFFSET, DIGEST_MISMATCH (for an empty asset)."""
        upload = self._find(name)
        with upload.lock:
            _check_current(upload, writer)
            if upload.complete:
                return upload.progress()
            if offset != upload.received:
                raise CallRefusal(
                    Reason.WRONG_OFFSET,
                    f"{name}: the upload must continue at byte {upload.received}, not at {offset}.",
                    offset=str(upload.received),
                )
            if upload.file is None:
                upload.file = self.scratch.region(upload.asset) or _new_file(upload.path)
            self._finish_if_complete(upload)
            return upload.progress()

    def write(self, name: str, writer: int, data: bytes | memoryview) -> Progress:
        """Append. Raises CallRefusal BUSY; TOO_LARGE, DIGEST_MISMATCH or SCRATCH_FAILED, which discard the asset."""
        upload = self._find(name)
        with upload.lock:
            _check_current(upload, writer)
            if upload.complete or upload.file is None or upload.received + len(data) > upload.asset.size:
                self._discard(upload)
                size = str(upload.asset.size)
                raise CallRefusal(
                    Reason.TOO_LARGE,
                    f"{name}: received more than the {size} bytes that the manifest declares.",
                    size=size,
                )
            # An earlier write that failed may have left bytes that are not in the hash.
            upload.file.seek(upload.received)
            state = upload.hash.copy()
            hashed = self._hashing.submit(state.update, data)
            try:
                view = memoryview(data)
                while view:
                    view = view[upload.file.write(view) :]
            except OSError as error:
                # On the scratch disk, what was written cannot be written again from here on.
                if isinstance(upload.file, Region):
                    raise self._failed(upload) from error
                raise
            finally:
                # The caller uses the memory of ``data`` again.
                hashed.result()
            upload.hash = state
            upload.received += len(data)
            self._finish_if_complete(upload)
            return upload.progress()

    def wipe(self) -> None:
        """Delete the files of all assets. Complete ones stay marked complete. Raises OSError when a file remains."""
        # What another thread deletes at the same time would count as a failure.
        with self._wiping:
            self._wipe()

    def _wipe(self) -> None:
        left: OSError | None = None
        for upload in self._uploads.values():
            with upload.lock:
                upload.writer += 1
                try:
                    self._discard(upload)
                    upload.path.unlink(missing_ok=True)
                except OSError as error:
                    left = error
        try:
            # After the last writer of the disk.
            self.scratch.wipe()
        except OSError as error:
            left = error
        for name in _FOLDERS:
            folder = self.folder / name
            try:
                if folder.exists():
                    shutil.rmtree(folder)
            except OSError as error:
                left = error
        if left is not None:
            raise left

    def _find(self, name: str) -> _AssetUpload:
        upload = self._uploads.get(name)
        if upload is None:
            raise CallRefusal(Reason.UNKNOWN_ASSET, f"The manifest has no asset {name[:64]!r}.")
        return upload

    def _finish_if_complete(self, upload: _AssetUpload) -> None:
        if upload.complete or upload.received < upload.asset.size:
            return
        found = upload.hash.hexdigest()
        if found != upload.asset.digest:
            self._discard(upload)
            raise CallRefusal(
                Reason.DIGEST_MISMATCH,
                f"{upload.asset.name}: SHA-256 differs (manifest: {upload.asset.digest}, received: {found}). "
                "The upload was discarded.",
                expected=upload.asset.digest,
                found=found,
            )
        if isinstance(upload.file, Region):
            try:
                upload.file.finish()
            except OSError as error:
                raise self._failed(upload) from error
        upload.complete = True
        if upload.file is not None:
            upload.file.close()
            upload.file = None

    def _failed(self, upload: _AssetUpload) -> CallRefusal:
        self._discard(upload)
        name = upload.asset.name
        return CallRefusal(Reason.SCRATCH_FAILED, f"{name}: the scratch disk failed. The upload was discarded.")

    def _discard(self, upload: _AssetUpload) -> None:
        if upload.complete:
            return
        if upload.file is not None:
            upload.file.close()
            upload.file = None
        upload.path.unlink(missing_ok=True)
        upload.received, upload.hash = 0, hashlib.sha256()


def _new_file(path: Path) -> FileIO:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    return os.fdopen(descriptor, "wb", buffering=0)


def _check_current(upload: _AssetUpload, writer: int) -> None:
    if upload.writer != writer:
        raise CallRefusal(Reason.BUSY, f"{upload.asset.name}: a newer upload replaced this one.")
