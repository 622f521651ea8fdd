"""Fetching a result: its ciphertext as often as necessary, its key once, and its proof before it is kept.

The files of ``pending`` are beside the output meanwhile.
"""

import contextlib
import hashlib
import os
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.collateral.sources import CollateralSources
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.connection.report import Progress
from cloister.client.connection.retry import TRANSFER_PAUSES, Backoff, Interrupted
from cloister.client.connection.session import Session
from cloister.client.files import exclusive
from cloister.client.result import pending
from cloister.client.result.pending import PendingFiles
from cloister.client.result.proof import APPROVALS, MAX_OVERHEAD, Proof, verify_result
from cloister.errors import CloisterError, InputError, ProofError
from cloister.pipeline import WriteBehind
from cloister.protocol import approval, archive, canonical, signingkey, slot
from cloister.protocol.approval import Approval
from cloister.protocol.manifest import Manifest
from cloister.protocol.sealing import FRAME_SIZE

_STATE_LIMIT = 4096
_KEY_SIZE = 32
_APPROVAL_SIZE = 2 * signingkey.MAX_SIGNATURE
"""Bytes that one approval takes at most: its signature in base64url, and a name and a transcript."""

_WAITING_PIECES = 2
"""Pieces of a ciphertext that wait to be hashed and written while the next ones arrive."""


@dataclass(frozen=True)
class _Slot:
    """Which ciphertext a part belongs to: by manifest, consumer and event-log key, which changes at every boot."""

    manifest: str
    consumer: str
    machine: str

    def encode(self) -> bytes:
        return canonical.encode(vars(self))


def consumer_of(manifest: Manifest, key: bytes) -> str:
    """The name of the consumer with this key in the manifest. Raises InputError."""
    for name in manifest.names(key):
        if name in manifest.results.recipients:
            return name
    names = ", ".join(manifest.results.recipients)
    raise InputError(
        f"Your key is not a consumer's; consumers are: {names}.",
        hint="Name another key with --key.",
    )


def fetch_ciphertext(
    connection: Connection,
    manifest: Manifest,
    output: Path,
    *,
    progress: Progress = lambda done, size: None,
    interrupted: Interrupted = lambda error, pause: None,
) -> None:
    """Download the ciphertext and have its key released; :func:`finish_result` does the rest.

    ``connection`` must demand this manifest. Raises CloisterError, such as a Refusal with the reason CONSUMED when the
    key was released earlier.
    """
    files = PendingFiles(output)
    consumer = consumer_of(manifest, connection.key.public)
    backoff = Backoff(TRANSFER_PAUSES, interrupted)
    while True:
        before = pending.size(files.part)
        try:
            _attempt(connection, manifest, consumer, files, progress, interrupted)
        except CloisterError as error:
            reason = refusal.reason_of(error)
            if reason in ("CONSUMED", "EXPIRED", "NOT_READY"):
                # The key for what has arrived does not exist, or is gone.
                for path in (files.part, files.state, files.reserved):
                    path.unlink(missing_ok=True)
                raise
            if reason == "DIGEST_OF_CIPHERTEXT":
                # The file of an earlier call was damaged on disk: download again, a limited number of times.
                files.part.unlink(missing_ok=True)
            elif not is_interruption(error):
                raise
            connection.close()
            if pending.size(files.part) > before:
                backoff.reset()
            backoff.wait(error)
        else:
            return


def finish_result(
    manifest: Manifest, policy: Policy, output: Path, consumer: str, *, collateral: CollateralSources | None = None
) -> Proof:
    """Decrypt what :func:`fetch_ciphertext` downloaded, verify it under the party's policy, and move it to ``output``.

    The approvals that came with the key are put beside the receipt. An approver that must see the files first has none
    yet; of all others they are demanded. ``consumer`` is whose key the caller has: others may write to the
    folder of the output. Raises ProofError and InputError; ciphertext and key are kept then.
    """
    files = PendingFiles(output)
    try:
        kept = userfile.read(files.key, _KEY_SIZE + approval.MAX_SIZE)
        key, signed = kept[:_KEY_SIZE], kept[_KEY_SIZE:]
        approvals = approval.parse(signed) if signed else ()
        size = files.part.stat().st_size
        for path in (files.new, files.approved):
            path.unlink(missing_ok=True)
        with files.part.open("rb") as ciphertext, userfile.open_new(files.new, 0o600) as plain:
            for piece in slot.decrypt(key, ciphertext, size):
                plain.write(piece)
            plain.flush()
            os.fsync(plain.fileno())
        preview = not approvals and consumer in manifest.results.readers
        found = verify_result(files.new, policy, collateral=collateral, approvals=approvals, preview=preview)
        found.require_accepted()
        if found.manifest != manifest.digest():
            raise ProofError(
                f"The result is of another manifest (yours: {manifest.digest().hex()}, result: {found.manifest.hex()})."
            )
        if approvals:
            with userfile.open_new(files.approved, 0o600) as whole:
                archive.add_member(files.new, whole, APPROVALS, signed)
                _sync(whole)
            files.approved.replace(files.new)
        files.new.replace(output)
    except CloisterError as error:
        error.hint = f"{error.hint} Key and ciphertext are kept in {files.key} and {files.part}.".lstrip()
        raise
    except OSError as error:
        raise InputError(
            f"{error.filename or output} cannot be read or written: {error.strerror}.",
            hint=f"Key and ciphertext are kept in {files.key} and {files.part}. Run the command again.",
        ) from error
    files.forget()
    return found


def _attempt(
    connection: Connection,
    manifest: Manifest,
    consumer: str,
    files: PendingFiles,
    progress: Progress,
    interrupted: Interrupted,
) -> None:
    """Fetch the slot and keep its key, followed by the encoded approvals that came with it, if any."""
    session = connection.session()
    _begin(files, _Slot(manifest.digest().hex(), consumer, connection.evidence().event_log_key.hex()))
    try:
        digest = receive(session, consumer, manifest.results.max_size, files.part, progress)
        reserved = _reserve(files.reserved, _KEY_SIZE + len(manifest.results.approvers) * _APPROVAL_SIZE)
    except OSError as error:
        raise InputError(
            f"{error.filename or files.part} cannot be read or written: {error.strerror}.",
            hint="The key is still with the machine. Free some disk space and run the command again: it resumes.",
        ) from error
    with reserved:
        key = _release(session, consumer, digest, Backoff(TRANSFER_PAUSES, interrupted))
        if len(key) != _KEY_SIZE:
            raise ProofError(f"The released key has the wrong size (expected: {_KEY_SIZE} bytes, found: {len(key)}).")
        # At once, because this is the only copy.
        _keep(files, reserved, key + _encoded(session.approvals, manifest))


def _encoded(approvals: tuple[Approval, ...], manifest: Manifest) -> bytes:
    """The approvals to keep: those that the manifest demands. The machine's others are of no use, and not kept."""
    wanted = {one.party: one for one in approvals if one.party in manifest.results.approvers}
    encoded = approval.encode(wanted.values()) if wanted else b""
    # What is longer is not kept, and missed later: the key must fit into the space that was reserved for it.
    return encoded if len(encoded) <= len(manifest.results.approvers) * _APPROVAL_SIZE else b""


def _release(session: Session, consumer: str, digest: bytes, backoff: Backoff) -> bytes:
    """The slot's key. When the answer is lost, the same session asks again: the agent repeats the key to no other."""
    while True:
        try:
            return session.release_result(consumer, digest)
        except ConnectionLost as error:
            backoff.wait(error)


def _begin(files: PendingFiles, wanted: _Slot) -> None:
    """Keep the part of an earlier call if it is of the same slot; otherwise start an empty one."""
    try:
        try:
            same = userfile.read(files.state, _STATE_LIMIT) == wanted.encode()
        except FileNotFoundError:
            same = False
        if not same:
            files.part.unlink(missing_ok=True)
            files.output.parent.mkdir(parents=True, exist_ok=True)
            exclusive.rewrite(files.state, wanted.encode())
    except OSError as error:
        raise userfile.unwritable(error.filename or files.part, error) from error


def receive(session: Session, consumer: str, max_size: int, part: Path, progress: Progress) -> bytes:
    """Download what ``part`` lacks of a slot's ciphertext, and return the SHA-256 of all of it.

    ``max_size`` is the manifest's limit of the result. Raises CloisterError and OSError; what has arrived is kept.
    """
    # The plaintext includes the proof, whose size the manifest does not limit; no proof is larger than this.
    limit = slot.ciphertext_size(max_size + MAX_OVERHEAD)
    state = hashlib.sha256()
    with exclusive.resumed(part) as file:
        done = _hash_rest(file, state)
        with (
            session.fetch_result(consumer, done, limit) as (size, pieces),
            WriteBehind(state.update, _WAITING_PIECES) as hashed,
            WriteBehind(lambda data: _write(file, data), _WAITING_PIECES) as written,
        ):
            if not done <= size <= limit:
                raise ProofError(f"The agent announces a result of {size} bytes (expected: {done} to {limit}).")
            for data in pieces:
                if done + len(data) > size:
                    raise ProofError("The agent sent more bytes than it announced.")
                hashed.put(data)
                written.put(data)
                done += len(data)
                progress(done, size)
        os.fsync(file.fileno())
    if done != size:
        raise ProofError(f"The agent sent {done} bytes of a result of {size}.")
    return state.digest()


def _hash_rest(file: RawIOBase, state: "hashlib._Hash") -> int:
    """Hash what is left in ``file``; the position then."""
    buffer = bytearray(FRAME_SIZE)
    while size := file.readinto(buffer):
        state.update(memoryview(buffer)[:size])
    return file.tell()


def _write(file: RawIOBase, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _reserve(path: Path, size: int) -> BinaryIO:
    """Reserve disk space for key and approvals: a full disk must show while the agent still has the key."""
    path.unlink(missing_ok=True)
    file = userfile.open_new(path, 0o600)
    try:
        file.write(bytes(size))
        _sync(file)
    except BaseException:
        path.unlink(missing_ok=True)
        file.close()
        raise
    return file


def _keep(files: PendingFiles, reserved: BinaryIO, released: bytes) -> None:
    """Write to the file that was reserved, whatever others have put at its path meanwhile."""
    reserved.seek(0)
    reserved.write(released)
    reserved.truncate()
    _sync(reserved)
    with contextlib.suppress(FileNotFoundError):
        files.reserved.replace(files.key)
    if not exclusive.is_at(reserved.fileno(), files.key):
        files.key.unlink(missing_ok=True)
        userfile.write_new(files.key, released, 0o600)
