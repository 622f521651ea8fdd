"""Fetching a result: its ciphertext as often as needed, its key once, its proof before it counts.

Beside the output ``results.zip`` stand, while a fetch is under way:

    results.zip.part        the ciphertext as far as it has arrived
    results.zip.part.json   which result it belongs to
    results.zip.key         the key, from the moment that the agent has handed it out (mode 0600)
    results.zip.key.part    room for the key, taken before it is asked for
    results.zip.new         the decrypted result, until it is proven (mode 0600, as the result afterwards)

Whatever fails after the key was handed out, the next call goes on from these files without asking the agent.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.connection import refusal
from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.retry import TRANSFER, Interrupted, Patience
from cloister.client.connection.session import Session
from cloister.client.evidence.vendors import Vendors
from cloister.client.files import exclusive
from cloister.client.result import proof
from cloister.errors import CloisterError, InputError, ProofError
from cloister.protocol import canonical, slot
from cloister.protocol.manifest import Manifest

_STATE_LIMIT = 4096
_KEY_SIZE = 32

Progress = Callable[[int, int], None]
"""Told how many bytes have arrived, and of how many."""


@dataclass(frozen=True)
class Fetched:
    """A result that was proven: where it lies, and what its proof consists of."""

    output: Path
    proof: proof.Proof


@dataclass(frozen=True)
class _Files:
    """The files of one fetch."""

    output: Path

    def _beside(self, suffix: str) -> Path:
        return self.output.with_name(self.output.name + suffix)

    @property
    def part(self) -> Path:
        return self._beside(".part")

    @property
    def state(self) -> Path:
        return self._beside(".part.json")

    @property
    def key(self) -> Path:
        return self._beside(".key")

    @property
    def room(self) -> Path:
        return self._beside(".key.part")

    @property
    def new(self) -> Path:
        return self._beside(".new")

    def forget(self) -> None:
        """Remove everything but the output."""
        for path in (self.key, self.room, self.part, self.state, self.new):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Slot:
    """Which ciphertext a part belongs to: a manifest's, for a consumer, of one life of a machine."""

    manifest: str
    consumer: str
    machine: str

    def encode(self) -> bytes:
        return canonical.encode(vars(self))


def pending_key(output: Path) -> bool:
    """Whether an earlier call got the key and could not finish: then the agent is not needed any more."""
    return _Files(output).key.exists()


def consumer_of(manifest: Manifest, key: bytes) -> str:
    """The consumer's name that a key has in the manifest. Raises InputError."""
    for name in manifest.names(key):
        if name in manifest.results.consumers:
            return name
    names = ", ".join(manifest.results.consumers)
    raise InputError(
        f"The manifest names no result consumer with this key; consumers are: {names}.",
        hint="Name another key with --key.",
    )


def fetch(
    connection: Connection,
    manifest: Manifest,
    output: Path,
    *,
    progress: Progress = lambda done, size: None,
    interrupted: Interrupted = lambda error, pause: None,
) -> None:
    """Bring the ciphertext here and take its key; :func:`finish` does the rest.

    ``connection`` must demand this manifest. Raises CloisterError: CONSUMED with the time
    when the key is gone for good.
    """
    files = _Files(output)
    consumer = consumer_of(manifest, connection.key.public)
    patience = Patience(TRANSFER, interrupted)
    while True:
        before = _size(files.part)
        try:
            key = _attempt(connection, manifest, consumer, files, progress)
        except CloisterError as error:
            reason = refusal.reason_of(error)
            if reason in ("CONSUMED", "EXPIRED", "NOT_READY"):
                # There is no key for what may have arrived, nor will there be one.
                for path in (files.part, files.state, files.room):
                    path.unlink(missing_ok=True)
                raise
            if reason == "DIGEST_OF_CIPHERTEXT":
                # What an earlier call left on this disk is not what was sent: begin anew, but not for ever.
                files.part.unlink(missing_ok=True)
            elif not is_interruption(error):
                raise
            connection.close()
            if _size(files.part) > before:
                patience.renew()
            patience.wait(error)
        else:
            # Before anything else: this is the only copy in the world.
            _keep_key(files, key)
            return


def finish(manifest: Manifest, policy: Policy, output: Path, *, vendors: Vendors | None = None) -> Fetched:
    """Decrypt what :func:`fetch` brought, prove it under the party's policy, and put it at ``output``.

    Raises ProofError; then ciphertext and key stay where they are.
    """
    files = _Files(output)
    try:
        key = userfile.read(files.key, _KEY_SIZE)
        size = files.part.stat().st_size
        files.new.unlink(missing_ok=True)
        with files.part.open("rb") as ciphertext, exclusive.opened(files.new, 0o600) as plain:
            for segment in slot.decrypt(key, ciphertext, size):
                plain.write(segment)
            plain.flush()
            os.fsync(plain.fileno())
        found = proof.prove(files.new, policy, vendors=vendors)
        found.require_accepted()
        if found.manifest != manifest.digest():
            raise ProofError(
                f"The result is of the manifest {found.manifest.hex()}, expected is {manifest.digest().hex()}."
            )
        files.new.replace(output)
    except CloisterError as error:
        error.hint = f"{error.hint} Key and ciphertext are kept in {files.key} and {files.part}.".lstrip()
        raise
    except OSError as error:
        raise InputError(
            f"{error.filename or output} cannot be read or written: {error.strerror}.",
            hint=f"Key and ciphertext are kept in {files.key} and {files.part}; run the command again.",
        ) from error
    files.forget()
    return Fetched(output, found)


def _attempt(connection: Connection, manifest: Manifest, consumer: str, files: _Files, progress: Progress) -> bytes:
    session = connection.session()
    _begin(files, _Slot(manifest.digest().hex(), consumer, connection.evidence().event_log_key.hex()))
    try:
        _receive(session, consumer, manifest.results.max_size, files.part, progress)
        with files.part.open("rb") as ciphertext:
            digest = slot.file_digest(ciphertext)
        _make_room(files.room)
    except OSError as error:
        raise InputError(
            f"{error.filename or files.part} cannot be read or written: {error.strerror}.",
            hint="The key is still with the machine. Make room and run the command again: it goes on where it was.",
        ) from error
    key = session.release_result(consumer, digest)
    if len(key) != _KEY_SIZE:
        raise ProofError(f"The agent handed out a key of {len(key)} bytes; it must have {_KEY_SIZE}.")
    return key


def _begin(files: _Files, wanted: _Slot) -> None:
    """Keep the part of an earlier call when it is of the same slot, else begin anew."""
    try:
        same = userfile.read(files.state, _STATE_LIMIT) == wanted.encode()
    except FileNotFoundError:
        same = False
    try:
        if not same:
            files.part.unlink(missing_ok=True)
            files.output.parent.mkdir(parents=True, exist_ok=True)
            files.state.write_bytes(wanted.encode())
        files.part.touch(mode=0o600)
    except OSError as error:
        raise InputError(f"{files.part} cannot be written: {error.strerror}.") from error


def _receive(session: Session, consumer: str, max_size: int, part: Path, progress: Progress) -> None:
    # The plaintext also holds the proof, whose size the manifest does not bound; no proof is larger than this.
    limit = slot.ciphertext_size(max_size + proof.MAX_OVERHEAD)
    with part.open("r+b") as file:
        done = file.seek(0, os.SEEK_END)
        size = None
        for chunk in session.fetch_result(consumer, done, limit):
            if size is None:
                size = chunk.size
                if not done <= size <= limit:
                    raise ProofError(f"The agent offers a result of {size} bytes; at most {limit} are possible.")
            if done + len(chunk.data) > size:
                raise ProofError("The agent sends more than the size of the result.")
            file.write(chunk.data)
            done += len(chunk.data)
            progress(done, size)
        _sync(file)
    if size is None or done != size:
        raise ProofError(f"The agent sent {done} bytes of a result of {size if size is not None else 'unknown size'}.")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _make_room(path: Path) -> None:
    """Write as much as the key will take: a full disk shows now, while the agent still has it."""
    path.unlink(missing_ok=True)
    exclusive.write(path, bytes(_KEY_SIZE), 0o600)


def _keep_key(files: _Files, key: bytes) -> None:
    with files.room.open("r+b") as file:
        file.write(key)
        _sync(file)
    files.room.replace(files.key)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
