"""A person at a terminal: who waits for what is on the screen, and then types."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROWS, _COLUMNS = 40, 160
_SECONDS = 300.0
_VERBS = """
import sys
from dataclasses import replace
from pathlib import Path

from invoke import Program

from infra import tasks
from infra.live import workspaces

workspaces.PROJECT = replace(workspaces.PROJECT, folder=Path(sys.argv.pop(1)))
sys.argv[0] = "invoke"
Program(namespace=tasks.namespace).run(sys.argv)
"""


def verb(
    words: Sequence[str], project: Path, environment: Mapping[str, str], shown: str, typed: bytes
) -> tuple[int, str]:
    """The exit code of a verb on the Pulumi project in a folder, and what was on the screen.

    ``typed`` is typed once the screen has shown ``shown``.
    """
    child, screen = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", _VERBS, str(project), *words], dict(environment))
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    said, waits = b"", True
    while select.select([screen], [], [], _SECONDS)[0]:
        try:
            said += os.read(screen, 65536)
        except OSError:
            # Linux reports EIO when the other end is closed, see pty(7).
            break
        if waits and shown.encode() in said:
            waits = False
            os.write(screen, typed)
    os.close(screen)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode("utf-8", "replace")
