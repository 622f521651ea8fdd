"""Collateral in a folder: fetched earlier, or received from someone else. Contents matter, file names do not."""

from collections.abc import Iterable
from pathlib import Path

from cloister import userfile
from cloister.attestation.collateral_source import FILE, CollateralItem, InMemory, Origin
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.errors import InputError
from cloister.userfile import FilePath

ENDORSEMENT = ".binarypb"
"""Suffix that Google gives endorsements, which cannot be recognised by their bytes."""

MAX_FILES = 256
"""Files of one folder that are read."""

_GIVEN = Origin(FILE)


def load_collateral(folder: FilePath) -> InMemory:
    """All collateral in ``folder``. Raises InputError.

    Any other file is an error, so that nothing is overlooked, and so is a dangling link: it may have led to the
    revocation list that rejects the machine. Hidden files and subfolders are ignored.
    """
    return placed((item, Origin(FILE, str(path))) for path, item in folder_items(Path(folder)))


def folder_items(folder: Path) -> tuple[tuple[Path, CollateralItem], ...]:
    """Each item in ``folder``, or in a single file, with its file, in the order of the names. Raises InputError."""
    try:
        single = folder.is_file()
        found = [folder] if single else sorted(folder.iterdir())
        paths = [path for path in found if single or not (path.is_dir() or path.name.startswith("."))]
        if len(paths) > MAX_FILES:
            raise InputError(
                f"{folder} has {len(paths)} files; at most {MAX_FILES} are supported.",
                hint="Keep only the collateral of the machines that you verify, or name several folders.",
            )
        return tuple((path, item) for path in paths for item in _read(path))
    except OSError as error:
        raise userfile.unreadable(f"The collateral in {folder}", error) from error


def collect(items: Iterable[CollateralItem], origin: Origin = _GIVEN) -> InMemory:
    """The items as a source, each once; all are from ``origin``."""
    return placed((item, origin) for item in items)


def placed(items: Iterable[tuple[CollateralItem, Origin]]) -> InMemory:
    """Items and their origins as a source, each once, with the origin of the first."""
    contents: dict[str, dict[bytes, None]] = {}
    origins: dict[bytes, Origin] = {}
    for item, origin in items:
        contents.setdefault(item.kind, {})[item.content] = None
        origins.setdefault(item.content, origin)
    return InMemory({kind: tuple(known) for kind, known in contents.items()}, origins)


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
