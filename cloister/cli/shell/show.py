"""The output of verbs: JSON, notes, progress on a terminal, questions."""

import codecs
import contextlib
import json
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any

from cloister.errors import CloisterError, InputError
from cloister.protocol import text

__all__ = [
    "ProgramOutput",
    "can_ask",
    "cannot_ask",
    "confirmed",
    "facts",
    "interruption",
    "line",
    "note",
    "signed",
    "transfer",
    "waiting",
]


def facts(value: Any) -> None:
    """Print JSON. It may quote peers and files: control characters are escaped."""
    print(_escaped(json.dumps(value, indent=2, ensure_ascii=False)))


def line(value: Any) -> None:
    """Print JSON in one line, at once, as :func:`facts`."""
    print(_escaped(json.dumps(value, ensure_ascii=False)), flush=True)


def signed(line: str) -> None:
    """Print a line of JSON, for programs byte for byte; on a terminal control characters are escaped."""
    print(_escaped(line) if sys.stdout.isatty() else line, flush=True)


def _escaped(said: str) -> str:
    """The same JSON without control characters outside of escapes. ``json`` itself leaves DEL."""
    return "".join(char if char.isprintable() or char == "\n" else _escape(char) for char in said)


def _escape(char: str) -> str:
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]


def note(said: str) -> None:
    """Print something that is not part of the output, to standard error."""
    print(text.printable(said, keep="\n\t"), file=sys.stderr)


class ProgramOutput:
    """Prints what an algorithm printed, as it comes: a character may arrive in two pieces.

    An algorithm is not trusted with the reader's terminal: control characters are replaced, but
    for those of ``keep``.
    """

    def __init__(self, keep: str = "\n\t") -> None:
        self._keep = keep
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, printed: bytes) -> None:
        sys.stdout.write(text.printable(self._decoder.decode(printed), keep=self._keep))
        sys.stdout.flush()


_bars: list[tuple[Any, set[Any]]] = []
_bars_lock = threading.Lock()


@contextlib.contextmanager
def transfer(what: str, size: int) -> Generator[Callable[[int, int], None], None, None]:
    """A progress bar with bytes, rate and time left; nothing for small files or without a terminal.

    Yields a function of the bytes done and all bytes.
    """
    if not sys.stderr.isatty() or size < 1024 * 1024:
        yield lambda done, size: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),  # names have brackets
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with _bars_lock:
        # Several at one time are lines of one display.
        if not _bars:
            _bars.append((Progress(*columns, console=Console(stderr=True)), set()))
            _bars[0][0].start()
        bar, open_tasks = _bars[0]
        task = bar.add_task(text.printable(what), total=size)
        open_tasks.add(task)
    try:
        yield lambda done, size: bar.update(task, completed=done, total=size)
    finally:
        with _bars_lock:
            open_tasks.discard(task)
            if not open_tasks:
                _bars.clear()
                bar.stop()


@contextlib.contextmanager
def waiting(state: Callable[[], str]) -> Generator[None, None, None]:
    """Show on a terminal what ``state()`` says, as long as it is current; printed lines appear above it."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield
        return
    from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
    from rich.text import Text

    class StateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(state())

    with Progress(SpinnerColumn(), StateColumn(), transient=True) as bar:
        bar.add_task("", total=None)
        yield


def interruption(error: CloisterError, pause: float) -> None:
    """Report that a transfer was interrupted and will resume."""
    note(f"{error.message} Retrying in {pause:.0f} s ..." if pause >= 1 else f"{error.message} Retrying ...")


def confirmed(question: str) -> bool:
    """Ask the user a question, on standard error. Raises InputError without a terminal."""
    if not can_ask():
        raise cannot_ask()
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def agreed(question: str, *, yes: bool) -> bool:
    """Whether to do what cannot be undone: a user at a terminal is asked, unless ``yes``. A script is not asked."""
    if yes or not can_ask() or confirmed(question):
        return True
    note("Nothing was changed.")
    return False


def can_ask() -> bool:
    """Whether there is a terminal on which a user can answer."""
    return sys.stdin.isatty()


def cannot_ask() -> InputError:
    """The error for a question that needs an answer when there is no terminal."""
    return InputError("This needs a confirmation, but there is no terminal.", hint="Pass --yes to confirm.")
