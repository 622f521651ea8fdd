"""An operation of ``pulumi`` on the user's terminal, and why it ended: by its status every end but one is a failure.

Its display and its questions read Ctrl-C themselves, so that no signal comes of it. They say so in pulumi's event log,
which its own Automation API reads too, and on standard error.
"""

import codecs
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

_LOGGING = ("up", "destroy")
"""What pulumi keeps an event log of."""
_STOPPED = "^C received"
_UNCONFIRMED = "confirmation cancelled"
_MOST_SAID = 65536
_PIECE = 4096


@dataclass(frozen=True)
class OperationResult:
    """How it ended: ``said`` is what was wrong, in pulumi's words.

    ``interrupted``: Ctrl-C was why. ``declined``: it asked whether to go on, and the answer was no.
    """

    status: int
    said: str
    interrupted: bool
    declined: bool


def perform(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> OperationResult:
    """``pulumi`` with ``words`` in ``folder``. Ctrl-C is for it alone: it stops what is under way and cleans up."""
    with tempfile.TemporaryDirectory(prefix="cloister-operation-") as name:
        log = Path(name, "events")
        argv = ["pulumi", *words]
        if words[0] in _LOGGING:
            argv += ["--event-log", str(log)]
            # The option is one of those that pulumi has for its developers.
            environment = {**environment, "PULUMI_DEBUG_COMMANDS": "true"}
        status, said, signalled = _run(argv, folder, environment)
        events = list(_events(log))
    errors = [one["message"] for one in _of(events, "diagnosticEvent") if one.get("severity") == "error"]
    stopped = any(str(one.get("message")).startswith(_STOPPED) for one in _of(events, "stdoutEvent"))
    summaries = [(bool(one.get("isPreview")), one.get("result")) for one in _of(events, "summaryEvent")]
    # Nothing went wrong in the preview, nothing was said to be wrong behind it, and nothing was begun.
    declined = summaries == [(True, "succeeded")] and not said.strip()
    return OperationResult(
        status=status,
        said="\n".join([said, *map(str, errors)]),
        interrupted=bool(status) and (signalled or stopped or _UNCONFIRMED in said),
        declined=bool(status) and declined,
    )


def _run(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, bool]:
    """Its status, the end of what it said on standard error (which is shown, too), and whether Ctrl-C was a signal."""
    interrupted = Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        # Started with a handler and not with SIG_IGN, which pulumi would inherit.
        with subprocess.Popen(argv, cwd=folder, env=environment, stderr=subprocess.PIPE) as process:
            said = _relay(process)
        return process.returncode, said, interrupted.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def _relay(process: subprocess.Popen[bytes]) -> str:
    """Show what ``process`` says on standard error while it lives; returns the end of it."""
    said = ""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    if process.stderr is None:
        return said
    stream = process.stderr.fileno()
    os.set_blocking(stream, False)
    ended = os.pidfd_open(process.pid)
    try:
        alive = True
        while alive:
            ready = select.select([stream, ended], [], [])[0]
            # What it started may hold the other end for longer than it lives: only what is there then is read.
            alive = ended not in ready
            with suppress(BlockingIOError):
                while piece := os.read(stream, _PIECE):
                    text = decoder.decode(piece)
                    said = (said + text)[-_MOST_SAID:]
                    sys.stderr.write(text)
                    sys.stderr.flush()
                if alive:
                    # It has closed it.
                    select.select([ended], [], [])
                    alive = False
    finally:
        os.close(ended)
    return said


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """What the log holds; nothing when there is none. A last line that is not whole is left out."""
    with suppress(FileNotFoundError), log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event


def _of(events: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event[kind] for event in events if isinstance(event.get(kind), dict)]
