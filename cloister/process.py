"""Runs another program and waits for it; every part of Cloister does it through here."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from cloister.errors import CloisterError

_TAIL_LINES = 12
_STDERR = 2
_PIECE = 1 << 20


class ProcessError(CloisterError):
    """A program could not be started, took too long, or failed."""

    remedy = "Correct what the program reports, then run the command again."


def module(name: str) -> list[str]:
    """The words that start an installed module, such as pip. Files in the current folder are not taken for modules."""
    return [sys.executable, "-P", "-m", name]


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,
    capture: bool = True,
    to_stderr: bool = False,
    check: bool = True,
    timeout: float | None = None,
    umask: int = -1,
    children: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """Run ``argv`` to its end, without a shell, and return its output.

    ``env`` replaces the environment. With ``capture`` the program's output is kept, otherwise it goes to the caller's
    terminal, with ``to_stderr`` all of it to standard error. ``timeout`` is in seconds. ``umask`` is the program's, -1
    for the caller's. With ``children`` the program is killed together with what it started, when it takes too long
    or the caller is interrupted. Raises ProcessError with the last lines of the output.
    """
    words = [os.fspath(word) for word in argv]
    output = subprocess.PIPE if capture else None
    given = subprocess.PIPE if input is not None else subprocess.DEVNULL if capture else None
    try:
        with (
            _starting(words),
            subprocess.Popen(
                words,
                cwd=cwd,
                env=env,
                stdin=given,
                stdout=_STDERR if to_stderr and not capture else output,
                stderr=output,
                umask=umask,
                process_group=0 if children else None,
            ) as started,
        ):
            try:
                out, err = started.communicate(input, timeout)
            except BaseException:
                if children:
                    os.killpg(started.pid, signal.SIGKILL)
                else:
                    started.kill()
                raise
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"{Path(words[0]).name} did not end within {timeout:.0f} seconds.") from error
    if check and started.returncode != 0:
        raise _failed(words, started.returncode, (out or b"") + (err or b""))
    return subprocess.CompletedProcess(words, started.returncode, out, err)


def run_filter(argv: Sequence[str | os.PathLike[str]], data: bytes, *, most: int) -> bytes:
    """What ``argv`` writes to its standard output for ``data`` on its input. Its environment has LC_ALL alone.

    Raises ProcessError as ``run`` does, and for more than ``most`` bytes: the program is then killed.
    """
    words = [os.fspath(word) for word in argv]
    made = bytearray()
    # In memory, so that a full disk does not matter; only messages are in a file.
    with tempfile.TemporaryFile() as said, os.fdopen(os.memfd_create("input"), "w+b") as given:
        given.write(data)
        given.seek(0)
        with (
            _starting(words),
            subprocess.Popen(
                words, cwd="/", env={"LC_ALL": "C"}, stdin=given, stdout=subprocess.PIPE, stderr=said
            ) as started,
        ):
            while started.stdout is not None and (piece := os.read(started.stdout.fileno(), _PIECE)):
                made += piece
                if len(made) > most:
                    started.kill()
                    raise ProcessError(f"{Path(words[0]).name} wrote more than {most} bytes.")
        said.seek(0)
        if started.returncode != 0:
            raise _failed(words, started.returncode, said.read())
    return bytes(made)


@contextlib.contextmanager
def _starting(words: Sequence[str]) -> Generator[None, None, None]:
    """Turn the error of a program that cannot be started into a ProcessError."""
    try:
        yield
    except FileNotFoundError as error:
        raise ProcessError(
            f"{words[0]} could not be started: {error.strerror}.", hint="Install it, or add its folder to PATH."
        ) from error
    except OSError as error:
        raise ProcessError(
            f"{words[0]} could not be started: {error.strerror or error}.",
            hint=f"Check that it is a program that you may run: ls -l {shlex.quote(words[0])}",
        ) from error


def _failed(words: Sequence[str], status: int, said: bytes) -> ProcessError:
    tail = said.decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:]
    return ProcessError("\n".join([f"{Path(words[0]).name} ended with status {status}.", *tail]))
