"""Uploading an asset: the right file, to the right machine, for the right computation, with the provider's consent.

An upload that is cut off goes on where the agent has it, within this call and in a later one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cloister.client.computation import asset as assets
from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.retry import TRANSFER, Interrupted, Patience
from cloister.client.connection.session import Session
from cloister.client.files import units
from cloister.client.files.keys import Key
from cloister.errors import CloisterError, InputError
from cloister.protocol import transcript
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2


@dataclass(frozen=True)
class Uploaded:
    """An asset that the agent has whole. ``sent`` counts the bytes that went out in this call."""

    asset: Asset
    sent: int


Progress = Callable[[int, int], None]
"""Told how many bytes the agent has or was sent, and of how many."""


def check(manifest: Manifest, asset: Asset, path: Path, progress: assets.Progress = lambda done: None) -> None:
    """Raise InputError unless the file or folder at ``path`` is what the manifest says about ``asset``."""
    found = assets.digest(path, progress)
    if (found.digest, found.size) == (asset.digest, asset.size):
        return
    raise InputError(
        f"{path} is not what the manifest says about {asset.name}: "
        f"expected SHA-256 {asset.digest} ({units.size(asset.size)}), "
        f"found {found.digest} ({units.size(found.size)}).",
        hint="Give the file that was agreed on; nothing was uploaded.",
    )


def dataset_of(manifest: Manifest, key: bytes, name: str | None, path: Path) -> Asset:
    """The dataset that a key's holder means: by name, or its only one, or the one with the file's name.

    Raises InputError.
    """
    if name is not None:
        for data in manifest.datasets:
            if data.name == name:
                return data
        names = ", ".join(data.name for data in manifest.datasets) or "none"
        raise InputError(f"The manifest has no dataset {name!r}; its datasets are: {names}.")
    owners = manifest.names(key)
    mine = [data for data in manifest.datasets if data.provider in owners]
    if not mine:
        raise InputError(
            f"The manifest has no dataset of the key {transcript.key_id(key)}.",
            hint="`review` shows who provides what; name another key with --key.",
        )
    if len(mine) > 1:
        named = [data for data in mine if data.file == assets.bare_name(path)]
        if len(named) != 1:
            names = ", ".join(data.name for data in mine)
            raise InputError(f"You provide several datasets: {names}.", hint="Say which one with --name.")
        return named[0]
    return mine[0]


def upload(
    connection: Connection,
    manifest: Manifest,
    asset: Asset,
    path: Path,
    *,
    progress: Progress = lambda done, size: None,
    interrupted: Interrupted = lambda error, pause: None,
) -> Uploaded:
    """Bring an asset that :func:`check` has passed to the agent, and go on after interruptions.

    ``connection`` must demand this manifest, so that every session's verdict compares the two.
    Raises CloisterError: what the agent refuses, or ConnectionLost when it stays away.
    """
    if connection.target.manifest_digest != manifest.digest():
        raise InputError("The connection was not made for this manifest.")
    sender = _Sender(connection, manifest, asset, progress)
    with assets.opened(path) as stream:
        patience = Patience(TRANSFER, interrupted)
        while True:
            before = sender.reached
            try:
                sender.attempt(stream)
            except CloisterError as error:
                if not is_interruption(error):
                    raise
                connection.close()
                if sender.reached > before:
                    patience.renew()
                patience.wait(error)
            else:
                return Uploaded(asset, sender.sent)


def consent(key: Key, manifest: Manifest, asset: Asset, session: Session) -> bytes:
    """A provider's signature that lets one asset be used in one computation, given in one session."""
    return key.sign(
        transcript.consent_message(
            manifest_digest=manifest.digest(),
            asset=asset.name,
            asset_digest=bytes.fromhex(asset.digest),
            transcript=session.transcript,
        )
    )


class _Sender:
    """Attempts to upload one asset; remembers how far the agent has it."""

    def __init__(self, connection: Connection, manifest: Manifest, asset: Asset, progress: Progress) -> None:
        self._connection = connection
        self._manifest = manifest
        self._asset = asset
        self._progress = progress
        self.reached = 0
        self.sent = 0

    def attempt(self, stream: BinaryIO) -> None:
        """One stream, from where the agent has it to the end."""
        session = self._connection.session()
        at = session.upload_offset(self._asset.name)
        self.reached = at.offset
        if at.complete:
            self._progress(self._asset.size, self._asset.size)
            return
        if at.offset > self._asset.size:
            raise InputError(f"The agent says that it has {at.offset} bytes of {self._asset.name}, which has fewer.")
        given = consent(self._connection.key, self._manifest, self._asset, session)
        start = agent_pb2.UploadStart(asset=self._asset.name, consent=given, offset=at.offset)
        remaining = self._asset.size - at.offset
        done = session.upload_asset(start, lambda: self._pieces(stream, at.offset), remaining)
        self.reached = done.offset
        if not done.complete:
            raise CloisterError(
                f"The agent has {done.offset} bytes of {self._asset.name} and does not say it is complete."
            )

    def _pieces(self, stream: BinaryIO, offset: int) -> Iterator[bytes]:
        stream.seek(offset)
        done = offset
        self._progress(done, self._asset.size)
        while done < self._asset.size:
            piece = stream.read(min(FRAME_SIZE, self._asset.size - done))
            if not piece:
                raise InputError(f"{self._asset.file} has become shorter since it was checked.")
            yield piece
            done += len(piece)
            self.sent += len(piece)
            self._progress(done, self._asset.size)
