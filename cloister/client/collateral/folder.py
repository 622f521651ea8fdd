"""Collateral in a folder: what somebody fetched before, or was handed. Names do not matter, contents do."""

from collections.abc import Iterable
from pathlib import Path

from cloister import userfile
from cloister.attestation.collateral_source import CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.errors import InputError

ENDORSEMENT = ".binarypb"
"""How Google names endorsements, which have no mark in their bytes."""

_MAX_FILES = 256


def load(folder: Path) -> InMemory:
    """Everything in ``folder`` that is collateral; files of any other kind are errors, so that none is overlooked, and
    so is a link to a file that is gone: it may have been the list that refuses the machine.

    Hidden files and folders below are not looked at. Raises InputError.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))
        if len(paths) > _MAX_FILES:
            raise InputError(f"{folder} has {len(paths)} files, at most {_MAX_FILES} are read.")
        return gathered(item for path in paths for item in _read(path))
    except OSError as error:
        raise InputError(f"The collateral in {folder} cannot be read: {error.strerror}.") from error


def gathered(items: Iterable[CollateralItem]) -> InMemory:
    """The items as a source."""
    contents: dict[str, list[bytes]] = {}
    for item in items:
        known = contents.setdefault(item.kind, [])
        if item.content not in known:
            known.append(item.content)
    return InMemory({kind: tuple(known) for kind, known in contents.items()})


def _read(path: Path) -> tuple[CollateralItem, ...]:
    if not path.is_file():
        raise InputError(
            f"{path} is no file that can be read, or a link to one that is gone.",
            hint="Keep only collateral in the folder.",
        )
    data = userfile.read(path, content.MAX_SIZE)
    if path.suffix == ENDORSEMENT and len(data) <= content.MAX_SIZE:
        return (content.endorsement(data),)
    try:
        return content.read(data, path.name)
    except MalformedEvidence as error:
        raise InputError(
            f"{path} is no collateral: {error.reason}.", hint="Keep only collateral in the folder."
        ) from error
