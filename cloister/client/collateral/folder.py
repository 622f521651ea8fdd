"""Collateral in a folder: fetched earlier, or received from someone else. Contents matter, file names do not."""

from collections.abc import Iterable
from pathlib import Path

from cloister import userfile
from cloister.attestation.collateral_source import CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.errors import InputError
from cloister.userfile import FilePath

ENDORSEMENT = ".binarypb"
"""Suffix that Google gives endorsements, which cannot be recognised by their bytes."""

_MAX_FILES = 256


def load_collateral(folder: FilePath) -> InMemory:
    """All collateral in ``folder``. Raises InputError.

    Any other file is an error, so that nothing is overlooked, and so is a dangling link: it may have led to the
    revocation list that rejects the machine. Hidden files and subfolders are ignored.
    """
    folder = Path(folder)
    try:
        paths = sorted(path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith("."))
        if len(paths) > _MAX_FILES:
            raise InputError(f"{folder} has {len(paths)} files; at most {_MAX_FILES} are supported.")
        return collect(item for path in paths for item in _read(path))
    except OSError as error:
        raise userfile.unreadable(f"The collateral in {folder}", error) from error


def collect(items: Iterable[CollateralItem]) -> InMemory:
    """The items as a source, each once."""
    contents: dict[str, list[bytes]] = {}
    for item in items:
        known = contents.setdefault(item.kind, [])
        if item.content not in known:
            known.append(item.content)
    return InMemory({kind: tuple(known) for kind, known in contents.items()})


def _read(path: Path) -> tuple[CollateralItem, ...]:
    if not path.is_file():
        raise InputError(
            f"{path} is not a regular file, or a dangling link.",
            hint="Keep only collateral in the folder.",
        )
    data = userfile.read(path, content.MAX_SIZE)
    if path.suffix == ENDORSEMENT and len(data) <= content.MAX_SIZE:
        return (content.endorsement(data),)
    try:
        return content.read(data, path.name)
    except MalformedEvidence as error:
        raise InputError(
            f"{path} is not collateral: it {error.reason}.", hint="Keep only collateral in the folder."
        ) from error
