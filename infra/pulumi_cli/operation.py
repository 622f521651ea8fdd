"""Runs ``pulumi`` on the user's terminal and finds out why it ended, which its exit status does not show.

Pulumi's display and prompts read Ctrl-C themselves, so that there is no signal. They report it in pulumi's event log,
which its Automation API reads, too, and on standard error.
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
"""The operations with an event log."""
_STOPPED = "^C received"
_UNCONFIRMED = "confirmation cancelled"
_MOST_SAID = 65536
_PIECE = 4096


@dataclass(frozen=True)
class OperationResult:
    """How the operation ended. ``said`` is its error output.

    ``interrupted``: the user pressed Ctrl-C. ``declined``: the user did not confirm.
    """

    status: int
    said: str
    interrupted: bool
    declined: bool


def perform(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> OperationResult:
    """Run ``pulumi`` with ``words`` in ``folder``. Only pulumi reacts to Ctrl-C: it stops and cleans up."""
    with tempfile.TemporaryDirectory(prefix="cloister-operation-") as name:
        log = Path(name, "events")
        argv = ["pulumi", *words]
        if words[0] in _LOGGING:
            argv += ["--event-log", str(log)]
            # --event-log is a developer option.
            environment = {**environment, "PULUMI_DEBUG_COMMANDS": "true"}
        status, said, signalled = _run(argv, folder, environment)
        events = list(_events(log))
    errors = [one["message"] for one in _of(events, "diagnosticEvent") if one.get("severity") == "error"]
    stopped = any(str(one.get("message")).startswith(_STOPPED) for one in _of(events, "stdoutEvent"))
    summaries = [(bool(one.get("isPreview")), one.get("result")) for one in _of(events, "summaryEvent")]
    # Declined: the preview succeeded, nothing else was reported, and no update started.
    declined = summaries == [(True, "succeeded")] and not said.strip()
    return OperationResult(
        status=status,
        said="\n".join([said, *map(str, errors)]),
        interrupted=bool(status) and (signalled or stopped or _UNCONFIRMED in said),
        declined=bool(status) and declined,
    )


def _run(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[int, str, bool]:
    """Exit status, the end of its standard error (which is also shown), and whether Ctrl-C arrived as a signal."""
    interrupted = Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        # A handler, because pulumi would inherit SIG_IGN.
        with subprocess.Popen(argv, cwd=folder, env=environment, stderr=subprocess.PIPE) as process:
            said = _relay(process)
        return process.returncode, said, interrupted.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


def _relay(process: subprocess.Popen[bytes]) -> str:
    """Show the standard error of ``process`` while it runs; returns the end of it."""
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
            # Its children may keep the pipe open after it ended: then read only what is available.
            alive = ended not in ready
            with suppress(BlockingIOError):
                while piece := os.read(stream, _PIECE):
                    text = decoder.decode(piece)
                    said = (said + text)[-_MOST_SAID:]
                    sys.stderr.write(text)
                    sys.stderr.flush()
                if alive:
                    # It closed standard error.
                    select.select([ended], [], [])
                    alive = False
    finally:
        os.close(ended)
    return said


def _events(log: Path) -> Iterator[dict[str, Any]]:
    """The events in the log; empty if it does not exist. Skips an incomplete last line."""
    with suppress(FileNotFoundError), log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    yield event


def _of(events: Sequence[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    return [event[type_] for event in events if isinstance(event.get(type_), dict)]
