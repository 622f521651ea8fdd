"""The serial console of a local CVM with a debug image, on the user's terminal."""

import os
import select
import socket
import sys
import termios
import tty
from pathlib import Path

from cloister.errors import InputError
from infra import paths
from infra.configuration.cloud import BACKENDS
from infra.live import workspaces
from infra.provider.qemu.machine import CONSOLE_LOG, CONSOLE_SOCKET
from infra.provider.qemu.sockets import connect

_LEAVE = b"\x1d"
_PIECE = 4096
_SECONDS = 5.0
_HINT = "Only a debug image has a console: invoke workspace.new NAME --image debug"


def open_console(workspace: str, cvm: str) -> None:
    """Attach to the console of ``cvm``, or of the only CVM with a console when ``cvm`` is empty. Raises InputError."""
    backend = (workspaces.PROJECT.configuration(workspace) or {}).get("backend")
    if backend in BACKENDS:
        raise InputError(
            "A CVM in a cloud has no console, and no one can log in to it.",
            hint=f"docs/{backend}.md says where it reports the progress of its boot.",
        )
    if cvm:
        workspaces.cvm(workspace, cvm)
    attach(workspace, cvm or only(workspace))


def attach(workspace: str, cvm: str) -> None:
    """Print the console's log, then connect keyboard and screen until Ctrl-] or the CVM's end.

    Raises InputError when the CVM has no console.
    """
    folder = paths.state() / workspace / cvm
    try:
        stream = connect(folder, CONSOLE_SOCKET, timeout=_SECONDS)
    except OSError as error:
        raise InputError(f"The CVM {cvm!r} of the workspace {workspace!r} has no console.", hint=_HINT) from error
    with stream:
        sys.stdout.buffer.write((folder / CONSOLE_LOG).read_bytes())
        sys.stdout.flush()
        if not sys.stdin.isatty():
            return
        print("\r\n[connected; press Ctrl-] to leave]\r")
        before = termios.tcgetattr(sys.stdin)
        tty.setraw(sys.stdin)
        try:
            _copy(stream)
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def only(workspace: str) -> str:
    """The only CVM of a workspace with a console. Raises InputError when no CVM has one, or several."""
    folder: Path = paths.state() / workspace
    found = sorted(path.parent.name for path in folder.glob(f"*/{CONSOLE_SOCKET}"))
    if not found:
        raise InputError(f"No CVM of the workspace {workspace!r} has a console.", hint=_HINT)
    if len(found) > 1:
        raise InputError(f"Several CVMs have a console: {', '.join(found)}.", hint="Choose one: --cvm NAME")
    return found[0]


def _copy(stream: socket.socket) -> None:
    stream.settimeout(None)
    keyboard = sys.stdin.fileno()
    while True:
        ready = select.select([stream, keyboard], [], [])[0]
        if keyboard in ready:
            typed = os.read(keyboard, _PIECE)
            if _LEAVE in typed or not typed:
                return
            stream.sendall(typed)
        if stream in ready:
            said = stream.recv(_PIECE)
            if not said:
                return
            sys.stdout.buffer.write(said)
            sys.stdout.flush()
