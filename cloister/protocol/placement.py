"""The places of an algorithm's files: rules for their paths in its working folder, ``/work``.

The agent applies them to a manifest, the runner (root) once more to a job, and ``manifest`` tells the author. Standard
library only.
"""

from collections.abc import Iterable

from cloister.protocol import names

WORK = "/work"
"""The algorithm's working folder."""

OWN_NAMES = ("datasets", "results")
"""Folders of the working folder."""

MAX_FILES = 64
"""Files beside the algorithm; each is an asset with consent, events and a mount of its own."""


def problem(algorithm: str, places: Iterable[str]) -> tuple[int, str] | None:
    """The index of the first of ``places`` that cannot be used, and why: the rest of a sentence. None if all can.

    Two paths exclude each other if they are the same (``names.same_as``), or if one would be a folder that contains the
    other.
    """
    taken = {_parts(name): f"the folder {WORK}/{name}" for name in OWN_NAMES}
    taken[_parts(algorithm)] = "the algorithm"
    folders: dict[tuple[str, ...], str] = {}
    for index, place in enumerate(places):
        if (why := names.path_problem(place)) is not None:
            return index, f"{why}: {names.shown(place)}"
        parts, shown = _parts(place), names.shown(place)
        if (said := taken.get(parts)) is not None:
            return index, f"is the path of {said}: {shown}"
        if (said := folders.get(parts)) is not None:
            return index, f"contains {said}: {shown}"
        above = [parts[:length] for length in range(1, len(parts))]
        if (said := next((taken[one] for one in above if one in taken), None)) is not None:
            return index, f"lies below {said}: {shown}"
        taken[parts] = f"another file, {shown}"
        folders |= dict.fromkeys(above, f"another file, {shown}")
    return None


def dataset_problem(file: str) -> str | None:
    """Return why the folder of datasets cannot have a file of this name, the rest of a sentence; None if it can.

    Python searches the algorithm's folder first. With such a file, ``datasets`` would be a package: a program that
    imports the library of this name would run what the dataset's provider has written.
    """
    if file.partition(".")[0] != "__init__":
        return names.problem(file)
    return f"makes a Python package of {WORK}/datasets, and would run when a program imports `datasets`"


def _parts(path: str) -> tuple[str, ...]:
    return tuple(names.same_as(path).split("/"))
