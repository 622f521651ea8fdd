"""Judges sources with the grammar of the guest's Python: of this interpreter, or of another one on this machine.

Other versions judge otherwise: 3.12 allowed more f-strings, ``type`` statements and type parameters, and each later
version allows more than the guest. So only the guest's own version is certain; :class:`Parsed` names its version.
"""

import base64
import functools
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from cloister.client.script import parse
from cloister.client.script.parse import Parsed
from cloister.process import ProcessError, run
from cloister.protocol.guest import PYTHON

_SECONDS = 120
_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def parse_all(sources: Mapping[str, bytes], main: str) -> dict[str, Parsed]:
    """Parse sources, ``main`` as a program, with the guest's grammar if there is one, otherwise with this one's."""
    if not is_guests(f"{sys.version_info[0]}.{sys.version_info[1]}") and (interpreter := find_interpreter()):
        encoded = {name: base64.b64encode(source).decode() for name, source in sources.items()}
        request = json.dumps({"sources": encoded, "main": main}).encode()
        try:
            answer = json.loads(_run(interpreter, str(Path(parse.__file__)), request))
            return {name: Parsed.from_value(one) for name, one in answer.items()}
        except (ProcessError, ValueError):
            pass  # It fails for one of the sources: this interpreter judges, which is not certain.
    return parse.parse_all(sources, main)


def is_guests(version: str) -> bool:
    """Return whether a grammar is the guest's."""
    return version == PYTHON


@functools.cache
def find_interpreter() -> str | None:
    """An interpreter of the guest's version: on PATH, or as pyenv and uv keep them. None if no one has it."""
    for candidate in _candidates():
        try:
            if _run(candidate, "-c", b"", _VERSION).strip() == PYTHON.encode():
                return candidate
        except ProcessError:
            continue  # for example, pyenv's shim of a version that is not chosen
    return None


def _candidates() -> Iterator[str]:
    name = f"python{PYTHON}"
    if found := shutil.which(name):
        yield found
    if not (home := os.environ.get("HOME")):
        return
    pyenv = Path(os.environ.get("PYENV_ROOT") or f"{home}/.pyenv") / "versions"
    data = os.environ.get("XDG_DATA_HOME") or f"{home}/.local/share"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or f"{data}/uv/python")
    for folder, pattern in ((pyenv, f"{PYTHON}.*/bin/{name}"), (uv, f"cpython-{PYTHON}*/bin/{name}")):
        yield from map(str, sorted(folder.glob(pattern)))


def _run(interpreter: str, program: str, stdin: bytes, *further: str) -> bytes:
    try:
        return run([interpreter, "-I", "-S", "-B", program, *further], input=stdin, timeout=_SECONDS).stdout
    except OSError as error:  # not executable, for another processor, ...
        raise ProcessError(f"{interpreter} could not be started: {error.strerror}.") from error
