"""Modules of an algorithm that are named like others: an import gets one of the two, everywhere in the program."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from cloister.client.script.packages import package_of
from cloister.protocol import guest, names
from cloister.protocol.placement import WORK

ENDS = (
    ".py",
    ".pyc",
    ".so",
    ".abi3.so",
    f".cpython-{guest.PYTHON.replace('.', '')}-x86_64-linux-gnu.so",
    "/__init__.py",
    "/__init__.pyc",
)
"""What follows a module's name in the path of its file."""


def search_roots(environment: Mapping[str, str]) -> list[str]:
    """Where Python looks for an algorithm's modules, below its working folder: "" for that itself, or ``lib/``."""
    roots = [] if environment.get("PYTHONSAFEPATH") else [""]
    for folder in environment.get("PYTHONPATH", "").split(":"):
        inside = PurePosixPath(WORK, folder)
        if folder and inside.is_relative_to(WORK):
            roots.append(f"{inside.relative_to(WORK)}/".removeprefix("./"))
    return list(dict.fromkeys(roots))


def lookalikes(
    places: Collection[str], roots: Collection[str], bundled: Collection[str], image: Collection[str]
) -> Iterator[str]:
    """Warnings, one for each module among ``places`` that has the name of one of Python, the bundle or the image."""
    for place in places:
        if (module := _module(place, roots)) is None:
            continue
        if module in guest.MODULES:
            other = f"{module} of Python's library"
        elif module in bundled:
            other = f"{module} of the bundle"
        elif package_of(module) in image:
            other = f"{module} of the image"
        else:
            continue
        yield (
            f"{names.shown(place)} is named like the module {other}: every import of {module} gets one of the two, "
            "also in packages that need the other. Rename the file."
        )


def lookalike_file(file: str) -> str:
    """A sentence about a file that is named like a module of Python's library; empty for any other file."""
    return next(lookalikes([file], [""], (), ()), "")


def _module(place: str, roots: Collection[str]) -> str | None:
    """The top-level module that a file is, or whose package it begins."""
    for root in roots:
        if place.startswith(root):
            inside = place.removeprefix(root)
            for end in ENDS:
                name = inside.removesuffix(end)
                if name != inside and name.isidentifier():
                    return name
    return None
