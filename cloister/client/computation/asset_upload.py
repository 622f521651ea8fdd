"""Uploading one asset: with consent, from where the agent has it, again after interruptions.

A file whose digest is remembered from an earlier reading is hashed again while it is sent; its last piece waits for
that, and is not sent if it has changed.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader

from cloister.client.computation.asset import LocalAsset, identify, open_asset
from cloister.client.computation.rehash import Rehash
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.report import Progress
from cloister.client.connection.retry import TRANSFER_PAUSES, Backoff, Interrupted
from cloister.client.connection.session import Session
from cloister.client.files.keys import Key
from cloister.errors import CloisterError, InputError, ProofError
from cloister.protocol import names, transcript
from cloister.protocol.foldertar import FolderTar
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2


@dataclass(frozen=True)
class Uploaded:
    """An asset that the agent has completely. ``sent`` counts the bytes that this call sent."""

    asset: Asset
    sent: int


def upload_asset(
    connection: Connection,
    manifest: Manifest,
    asset: Asset,
    found: LocalAsset,
    *,
    progress: Progress = lambda done, size: None,
    interrupted: Interrupted = lambda error, pause: None,
) -> Uploaded:
    """Upload an asset that :func:`check_asset` found, and resume after interruptions.

    ``connection`` must demand this manifest, so that every session's verdict compares it with the machine's.
    Raises CloisterError: Refusal, or ConnectionLost when the machine stays away; InputError when it was changed.
    """
    if connection.target.manifest_digest != manifest.digest():
        raise InputError(
            "The connection was not made for this manifest.", hint="Make it for a Target with the manifest's digest."
        )
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(open_asset(found.path))
        if identify(found.path, stream) != found.identity:
            raise InputError(f"{names.shown(found.file)} was changed after it was checked. Nothing was sent.")
        again = stack.enter_context(Rehash(found)) if found.remembered else None
        sender = _Sender(connection, manifest, asset, stream, again, progress)
        backoff = Backoff(TRANSFER_PAUSES, interrupted)
        while True:
            before = sender.reached
            try:
                sender.attempt()
            except CloisterError as error:
                if sender.may_restart(error):
                    interrupted(error, 0.0)
                    continue
                if not (is_interruption(error) or sender.lost_its_session()):
                    raise
                sender.drop_session()
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

    def __init__(
        self,
        connection: Connection,
        manifest: Manifest,
        asset: Asset,
        stream: FolderTar | BufferedReader,
        again: Rehash | None,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._manifest = manifest
        self._asset = asset
        self._stream = stream
        self._again = again
        self._progress = progress
        self._session: Session | None = None
        self._done = 0
        self._from_the_start = True
        self.reached = 0
        self.sent = 0

    def attempt(self) -> None:
        """One stream, from the first byte that the agent does not have to the end."""
        session = self._session = self._connection.session()
        at = session.upload_offset(self._asset.name)
        self.reached = at.offset
        if at.complete:
            self._progress(self._asset.size, self._asset.size)
            return
        if at.offset > self._asset.size:
            raise ProofError(
                f"The agent reports {at.offset} bytes of {self._asset.name}, which has only {self._asset.size}."
            )
        self._from_the_start = self._from_the_start and at.offset == 0
        given = consent(self._connection.key, self._manifest, self._asset, session)
        start = agent_pb2.UploadStart(asset=self._asset.name, consent=given, offset=at.offset)
        remaining = self._asset.size - at.offset
        self._done = at.offset
        self._progress(at.offset, self._asset.size)
        done = session.upload_asset(start, lambda: self._pieces(at.offset), remaining, self._count)
        self.reached = done.offset
        if not done.complete:
            raise CloisterError(
                f"The agent reports {self._asset.name} as incomplete after {done.offset} of {self._asset.size} bytes."
            )

    def lost_its_session(self) -> bool:
        """Whether another upload has closed the session that the attempt used."""
        return self._session is not None and not self._connection.has(self._session)

    def drop_session(self) -> None:
        """Have the next attempt open a session, or use one that another upload has opened."""
        if self._session is not None:
            self._connection.drop(self._session)
            self._session = None

    def may_restart(self, error: CloisterError) -> bool:
        """Whether the agent has discarded an asset that did not all come from here: once, it is sent from the start."""
        if self._from_the_start or refusal.reason_of(error) != "DIGEST_MISMATCH":
            return False
        self._from_the_start = True
        return True

    def _pieces(self, offset: int) -> Iterator[memoryview]:
        self._stream.seek(offset)
        done = offset
        buffer = memoryview(bytearray(FRAME_SIZE))
        while done < self._asset.size:
            wanted = min(FRAME_SIZE, self._asset.size - done)
            size = _fill(self._stream, buffer[:wanted])
            if size < wanted:
                raise InputError(
                    f"{names.shown(self._asset.file)} was truncated after it was checked.",
                    hint="Do not change it during the upload.",
                )
            done += size
            if self._again is not None:
                self._again.advance(done)
                if done == self._asset.size:
                    self._again.require(self._asset.digest)
            yield buffer[:size]

    def _count(self, size: int) -> None:
        self.sent += size
        self._done += size
        self._progress(self._done, self._asset.size)


def _fill(stream: FolderTar | BufferedReader, target: memoryview) -> int:
    """Read into ``target`` until it is full or the stream ends; the bytes read."""
    size = 0
    while size < len(target) and (more := stream.readinto(target[size:])):
        size += more
    return size
