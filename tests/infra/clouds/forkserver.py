"""Forks of one process that has imported what takes long run scripts: in ``clouds`` the programs of workspaces and the
clouds' stand-ins, in ``tests/pages`` the verbs.

Importing an SDK takes two seconds, and each operation of the engine starts the program and both stand-ins again. The
modules of this project are not kept there: each fork imports the program's as a new process does.
"""

import atexit
import gc
import importlib
import json
import multiprocessing
import os
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
_CLIENT = Path(__file__).with_name("forkclient.py")
_PRELOADED = (
    "infra.backends.azure",
    "infra.backends.gcp",
    "infra.registry.backends.azure",
    "infra.registry.backends.gcp",
    "tests.infra.clouds.servicer",
)
_OURS = ("cloister", "image", "infra", "tests")
_MOST = 1 << 20
_FORKS = multiprocessing.get_context("fork")
"""Its processes end without freeing what they have of the server's memory, which takes longer than to start."""


@cache
def command(*preloaded: str, kept: bool = False) -> str:
    """The words, for a shell, before a script and its arguments. The server starts now and ends with this process.

    ``preloaded`` are the modules that it imports first, without any those of the clouds. With ``kept``, the forks have
    this project's modules as well.
    """
    folder = Path(tempfile.mkdtemp(prefix="cloister-forks-"))
    path = folder / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen()
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(listening.fileno()), str(int(kept)), *(preloaded or _PRELOADED)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            cwd=CHECKOUT,
        )

    atexit.register(server.communicate)
    return shlex.join([sys.executable, "-I", "-S", str(_CLIENT), str(path)])


def _serve(listening: socket.socket, *, kept: bool, preloaded: list[str]) -> None:
    """Fork for each connection, until the standard input ends."""
    sys.path.insert(0, str(CHECKOUT))
    for name in preloaded:
        importlib.import_module(name)
    if not kept:
        for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
            del sys.modules[name]
        sys.path.remove(str(CHECKOUT))
    gc.freeze()
    while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
        with listening.accept()[0] as connection:
            _FORKS.Process(target=_supervise, args=[connection]).start()
    shutil.rmtree(Path(listening.getsockname()).parent)


def _supervise(connection: socket.socket) -> None:
    """Fork again and report how the script ends; end it when its client does, and pass on the client's signals."""
    message, streams, _, _ = socket.recv_fds(connection, _MOST, 3)
    script = _FORKS.Process(target=_run, args=[connection, json.loads(message), streams])
    script.start()
    for stream in streams:
        os.close(stream)
    said = b"a signal"
    while said and script.sentinel not in select.select([connection, script.sentinel], [], [])[0]:
        said = connection.recv(16)
        os.kill(script.ident, int(said or signal.SIGKILL))
    script.join()
    status = script.exitcode if script.exitcode >= 0 else 128 - script.exitcode
    with suppress(BrokenPipeError):  # the client was killed
        connection.send(str(status).encode())


def _run(connection: socket.socket, request: dict, streams: list[int]) -> None:
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    sys.path[:0] = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), kept=sys.argv[2] == "1", preloaded=sys.argv[3:])
