"""The part of an algorithm's output that the runner keeps, in a bounded file. Standard library only."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

_PIPE = 64 * 1024
_NOTE = 4096
"""Bytes of the logs that a note of the runner may replace, unless this is more than half of the logs."""


def live_part(limit: int) -> int:
    """Return how many of the first bytes of the logs never change once they are written.

    Only these are shown during a run. If a note could replace more, a reader who saw the bytes before would get more
    than ``limit`` in total.
    """
    return limit - min(_NOTE, limit // 2)


def keep_output(source: IO[bytes], path: Path, limit: int, seen: Callable[[bytes], object] = lambda data: None) -> None:
    """Copy ``source`` to the new file ``path``: at most ``limit`` bytes, plus one if there was more.

    ``seen`` is called with all that was read.
    """
    left = limit + 1
    with path.open("xb", buffering=0) as out:
        path.chmod(0o644)
        while data := os.read(source.fileno(), _PIPE):
            seen(data)
            out.write(data[:left])
            left -= min(left, len(data))


def append_output(path: Path, limit: int, said: str) -> None:
    """Append a paragraph to what :func:`keep_output` kept. If there is no room, it replaces the end of the output.

    A paragraph that is longer than what may be replaced is truncated.
    """
    note = f"\n{said}\n".encode()
    with path.open("r+b") as out:
        size = out.seek(0, os.SEEK_END)
        place = min(size, max(live_part(limit), limit - len(note)))
        note = note if place else note.removeprefix(b"\n")
        is_cut = size > place or len(note) > limit - place
        out.truncate(place)
        out.seek(place)
        out.write(note[: limit - place])
        if is_cut:
            out.write(b"\n" * (limit + 1 - out.tell()))  # one byte over the limit, as keep_output does it
