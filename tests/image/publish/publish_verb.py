"""`invoke image.publish` in a process of its own, and what it took."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from image.build.source import CHECKOUT

# The most memory that this program had, by its own word: what wait4(2) says of it counts what started it, too.
_MEASURED = """
import atexit, pathlib, re, sys
def note(into=pathlib.Path(sys.argv.pop(1))):
    into.write_text(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
atexit.register(note)
sys.argv[0] = "invoke"
from invoke.main import program
program.run()
"""
# What would say who somebody is, or where to ask.
_IDENTITY = ("AZURE_", "CLOUDSDK_", "GOOGLE_", "IDENTITY_")


@dataclass(frozen=True)
class VerbRun:
    """How the verb ended, what it said, the most memory that it had in bytes, and its time in seconds."""

    code: int
    out: str
    err: str
    memory: int
    seconds: float


def publish(*words: str | Path, **environment: str) -> VerbRun:
    """Type it, with ``environment`` added and nobody signed in."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(_IDENTITY)}
    with tempfile.NamedTemporaryFile() as memory:
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, memory.name, "image.publish", *words],
            check=False,
            cwd=CHECKOUT,
            env=kept | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        took = time.monotonic() - began
        return VerbRun(done.returncode, done.stdout, done.stderr, int(Path(memory.name).read_text()) * 1024, took)
