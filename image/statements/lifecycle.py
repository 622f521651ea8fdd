"""A publisher's statement about its images, continued from the one before."""

import contextlib
import fcntl
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cloister import userfile
from cloister.attestation.statements.lifecycle import ImageStatus, LifeCycle, ListedImage
from cloister.errors import InputError
from cloister.protocol.signingkey import PrivateKey, spki_of
from image.build import built_image
from image.build.built_image import BuiltImage
from image.statements import signed

MOST_DAYS = 366


def issue(
    file: Path,
    key: PrivateKey,
    *,
    add: Sequence[Path] = (),
    withdraw: Sequence[str] = (),
    days: int,
    first: bool = False,
    now: datetime,
) -> LifeCycle:
    """Sign the statement after the one in ``file``, and write it there; of two calls at once, one waits.

    ``add`` are folders of images, which are current; ``withdraw`` are digests of manifests that the statement before
    lists. It expires ``days`` after ``now``. ``first`` says that nothing comes before: parties refuse a counter that
    starts again.

    Raises ImageError; InputError, also when ``first`` and the file contradict each other; and ChangedFileError when
    another key has signed the statement before.
    """
    with _alone(file):
        if first == os.path.lexists(file):
            raise _exists(file) if first else _missing(file)
        stated = _continued(file, add=add, withdraw=withdraw, days=days, key=key, now=now)
        signed.write(stated, key, file)
    return stated


@contextlib.contextmanager
def _alone(file: Path) -> Generator[None]:
    """Keep other calls from the file's folder. Raises InputError for a folder that cannot be opened."""
    try:
        descriptor = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise userfile.unwritable(file, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _exists(file: Path) -> InputError:
    return InputError(f"{file} exists, so this is not the publisher's first statement.", hint="Omit --first.")


def _missing(file: Path) -> InputError:
    return InputError(
        f"{file} does not exist. A statement continues the one before, whose counter parties remember.",
        hint="Name the last statement with --file, or get a copy of it. For the publisher's very first one: --first",
    )


def _continued(
    file: Path, *, add: Sequence[Path], withdraw: Sequence[str], days: int, key: PrivateKey, now: datetime
) -> LifeCycle:
    if not 1 <= days <= MOST_DAYS:
        raise InputError(f"--days must be from 1 to {MOST_DAYS}, not {days}.")
    before = _before(file, spki_of(key.public_key()))
    images = dict(before.images) if before is not None else {}
    added: set[str] = set()
    for folder in add:
        for digest, listed in _listed(folder).items():
            if digest in images and images[digest].status is ImageStatus.WITHDRAWN:
                raise InputError(
                    f"The statement {file} withdraws the image {digest}, and what was withdrawn stays so.",
                    hint="Build an image from a newer lock, and add that one.",
                )
            images[digest] = listed
            added.add(digest)
    for digest in withdraw:
        if digest in added:
            raise InputError(
                f"The image {digest} cannot be added and withdrawn at once: what was withdrawn stays so.",
                hint="Omit --add or --withdraw for it.",
            )
        if digest not in images:
            raise InputError(
                f"The statement {file} lists no image {digest}.",
                hint=f"It lists: {', '.join(sorted(images)) or 'none'}.",
            )
        images[digest] = replace(images[digest], status=ImageStatus.WITHDRAWN)
    if not images:
        raise InputError("The first statement of a publisher must list an image.", hint="Add one: --add IMAGE")
    issued = now.replace(microsecond=0)
    if before is not None and issued < before.issued:
        raise InputError(f"{file} was issued at {before.issued:%F %T} UTC, which is later than this machine's clock.")
    return LifeCycle(before.counter + 1 if before is not None else 1, issued, issued + timedelta(days=days), images)


def _before(file: Path, public_key: bytes) -> LifeCycle | None:
    if not os.path.lexists(file):
        return None
    stated = signed.examine(file, public_key).statement.stated
    if not isinstance(stated, LifeCycle):
        raise InputError(f"{file} is the provenance of an image.", hint="Name the file of the publisher's statement.")
    return stated


def _listed(folder: Path) -> Mapping[str, ListedImage]:
    """The image in ``folder``, with the date of the oldest index in its lock."""
    image = BuiltImage.read(folder)
    manifest, lock = image.manifest, image.lock
    if lock is None or manifest.inputs.get("lock") != lock.digest():
        raise InputError(
            f"{folder / built_image.LOCK} is missing, or not the lock that the image's manifest names: "
            "its age is unknown.",
            hint="Get the image's files again, or build it.",
        )
    oldest = min(archive.time() for archive in lock.archives)
    return {manifest.digest().hex(): ListedImage(manifest.flavor, ImageStatus.CURRENT, oldest)}
