"""Vary the environment of a build, as reprotest does: another number of processors, file systems of another order."""

import os
from collections.abc import Iterator
from typing import Any, Self


def become() -> None:
    """From now on, this process and those that it starts use one processor, and it finds the files of folders in the
    reverse order of their names.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name, replacement in (("listdir", _listdir), ("scandir", _scandir)):
        setattr(os, name, replacement)


_REAL_LISTDIR, _REAL_SCANDIR = os.listdir, os.scandir


def _listdir(*folder: Any) -> list[Any]:
    return sorted(_REAL_LISTDIR(*folder), reverse=True)


def _scandir(*folder: Any) -> "_Entries":
    with _REAL_SCANDIR(*folder) as entries:
        return _Entries(sorted(entries, key=lambda entry: entry.name, reverse=True))


class _Entries:
    """What os.scandir returns."""

    def __init__(self, entries: list[os.DirEntry[Any]]) -> None:
        self._entries: Iterator[os.DirEntry[Any]] = iter(entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> os.DirEntry[Any]:
        return next(self._entries)

    def close(self) -> None:
        """The folder was closed when its entries had been read."""
