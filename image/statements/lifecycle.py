"""A publisher's statement about its images, continued from the one before."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cloister.attestation.statements.lifecycle import ImageStatus, LifeCycle, ListedImage
from cloister.errors import InputError
from image.build import built_image
from image.build.built_image import BuiltImage
from image.statements import signed

MOST_DAYS = 366


def state(
    file: Path, *, add: Sequence[Path], withdraw: Sequence[str], days: int, public_key: bytes, now: datetime
) -> LifeCycle:
    """The statement after the one in ``file``, or the first one if the file does not exist.

    ``add`` are folders of images, which are current; ``withdraw`` are digests of manifests that the statement before
    lists. It expires ``days`` after ``now``. Raises ImageError; InputError; and ChangedFileError when another key has
    signed the statement before.
    """
    if not 1 <= days <= MOST_DAYS:
        raise InputError(f"--days must be from 1 to {MOST_DAYS}, not {days}.")
    before = _before(file, public_key)
    images = dict(before.images) if before is not None else {}
    for folder in add:
        for digest, listed in _listed(folder).items():
            if digest in images and images[digest].status is ImageStatus.WITHDRAWN:
                raise InputError(
                    f"The statement {file} withdraws the image {digest}, and what was withdrawn stays so.",
                    hint="Build an image from a newer lock, and add that one.",
                )
            images[digest] = listed
    for digest in withdraw:
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
    if not file.exists():
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
