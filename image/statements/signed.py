"""Signed statements in their files."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cloister import userfile
from cloister.attestation.statements.lifecycle import ImageStatus, LifeCycle
from cloister.attestation.statements.provenance import MANIFEST, Provenance
from cloister.attestation.statements.statement import MAX_SIZE, ImageStatement
from cloister.errors import ChangedFileError, InputError
from cloister.protocol import dsse
from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signingkey import PrivateKey, key_id


@dataclass(frozen=True)
class Examined:
    """A statement that a known key has signed. ``key`` is that key's id."""

    statement: ImageStatement
    key: str

    def lines(self, now: datetime) -> list[str]:
        """What it says, for a reader at the time ``now``."""
        stated = self.statement.stated
        said = [f"Signed by the key {self.key}."]
        if isinstance(stated, LifeCycle):
            valid = "until" if now < stated.expires else "expired since"
            said.append(f"Statement {stated.counter} of {stated.issued:%F %T} UTC, {valid} {stated.expires:%F %T} UTC.")
            listed = sorted(stated.images.items())
            return [*said, *(f"{one.status:<10} {digest}  {one.flavor}, of {one.indexed:%F}" for digest, one in listed)]
        said.append(f"The builder has made the image {stated.flavor} {stated.manifest_digest.hex()}.")
        said += [f"{digest}  {name}" for name, digest in sorted(stated.subjects.items())]
        return [*said, f"From {len(stated.dependencies)} inputs, by its clock on {stated.signed:%F %T} UTC."]

    def require_about(self, image: ImageManifest, now: datetime) -> None:
        """Raise ChangedFileError unless the statement covers all of ``image``, its manifest and every output; one of a
        publisher must list it as current, and must not have expired at the time ``now``.
        """
        stated, digest = self.statement.stated, image.digest().hex()
        if isinstance(stated, LifeCycle):
            if digest not in stated.images:
                raise ChangedFileError(f"The statement does not list the image {image.flavor} {digest}.")
            if stated.images[digest].status is not ImageStatus.CURRENT:
                raise ChangedFileError(
                    f"The publisher has withdrawn the image {image.flavor} {digest}.",
                    hint="Do not use the image. Ask its publisher for a current one.",
                )
            if now >= stated.expires:
                raise ChangedFileError(
                    f"The statement expired at {stated.expires:%F %T} UTC.",
                    hint="Ask the publisher for its newest one.",
                )
            return
        expected = {MANIFEST: digest, **{name: output.sha256 for name, output in image.outputs.items()}}
        for name in sorted({*expected, *stated.subjects}):
            if expected.get(name) != stated.subjects.get(name):
                raise ChangedFileError(
                    f"The statement is about another image: {name} has the SHA-256 {stated.subjects.get(name, 'none')} "
                    f"in it, and {expected.get(name, 'none')} in the image."
                )


def write(stated: Provenance | LifeCycle, key: PrivateKey, path: Path) -> None:
    """Sign a statement and write its envelope. Raises InputError when the file cannot be written."""
    userfile.write_file(path, dsse.sign(stated.payload(), key) + b"\n")


def require_replaceable(path: Path) -> None:
    """Raise InputError unless the file is the provenance of an image, or missing: no key and no life cycle is replaced,
    whose counter would start again.
    """
    if not os.path.lexists(path):
        return
    try:
        replaceable = isinstance(read(path).stated, Provenance)
    except InputError:
        replaceable = False
    if not replaceable:
        raise InputError(
            f"{path} exists, and is not the provenance of an image.", hint="Name another file with --output."
        )


def read(path: Path) -> ImageStatement:
    """The statement in a file, not yet verified. Raises InputError."""
    try:
        data = userfile.read(path, 2 * MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(f"The statement {path}", error) from error
    try:
        return ImageStatement.read(data, f"The statement {path}")
    except FormatError as error:
        raise InputError(error.message, hint="Ask its sender for a valid one.") from error


def examine(path: Path, public_key: bytes) -> Examined:
    """The statement in a file. Raises InputError, and ChangedFileError unless the key has signed it."""
    statement, name = read(path), key_id(public_key)
    if not statement.signed_by(public_key):
        claimed = ", ".join(one.key_id or "an unnamed key" for one in statement.envelope.signatures)
        raise ChangedFileError(f"{path} is not signed by the key {name}; it names {claimed}.")
    if isinstance(statement.stated, Provenance) and statement.stated.builder != name:
        raise ChangedFileError(f"{path} is signed by the key {name}, and names the builder {statement.stated.builder}.")
    return Examined(statement, name)
