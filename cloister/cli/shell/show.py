"""What verbs print: facts for people or programs, and progress for people in front of a terminal."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.errors import CloisterError, InputError
from cloister.protocol import text


def facts(value: Any) -> None:
    """JSON for programs. It quotes peers and files, too: what would speak to a terminal is written as an escape."""
    said = json.dumps(value, indent=2, ensure_ascii=False)
    print("".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in said))


def note(said: str) -> None:
    """Something for the person, which is no result: on standard error."""
    print(text.printable(said, keep="\n\t"), file=sys.stderr)


@contextlib.contextmanager
def transfer(what: str, size: int) -> Generator[Callable[[int, int], None], None, None]:
    """A bar with bytes, rate and time left; nothing when standard error is not a terminal.

    Yields a function that takes the bytes done and the bytes in all.
    """
    if not sys.stderr.isatty() or size < 1024 * 1024:
        yield lambda done, size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=size)
        yield lambda done, size: bar.update(task, completed=done, total=size)


@contextlib.contextmanager
def waiting(what: str) -> Generator[None, None, None]:
    """Says on a terminal that something is waited for, and for how long; what is printed meanwhile stands above it."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), transient=True) as bar:
        bar.add_task(what, total=None)
        yield


def interruption(error: CloisterError, pause: float) -> None:
    """Tell that a transfer was cut off, and goes on."""
    note(f"{error.message} Going on in {pause:.0f} s ..." if pause >= 1 else f"{error.message} Going on ...")


def write_file(path: Path, content: bytes) -> None:
    """Write a file that appears only when it is complete; a link stays one. Raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = userfile.destination(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


def confirmed(question: str) -> bool:
    """The answer of the person at the keyboard. Raises InputError when there is none."""
    if not sys.stdin.isatty():
        raise unasked()
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def unasked() -> InputError:
    """What to raise where somebody would have to be asked and nobody can be."""
    return InputError("This needs your word, and there is no terminal to ask on.", hint="Say it with --yes.")
