"""Run `invoke image.publish` in a subprocess and measure its memory and time."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from image.build.source import CHECKOUT

# The process reports its own peak memory: wait4(2) would include that of the process that started it.
_MEASURED = """
import atexit, pathlib, re, sys
def note(into=pathlib.Path(sys.argv.pop(1))):
    into.write_text(re.search(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())[1])
atexit.register(note)
sys.argv[0] = "invoke"
from invoke.main import program
program.run()
"""
# Prefixes of variables with credentials or addresses of identity services.
_IDENTITY = ("AZURE_", "CLOUDSDK_", "GOOGLE_", "IDENTITY_")


@dataclass(frozen=True)
class VerbRun:
    """Exit code and output of the verb, its peak memory in bytes and its time in seconds."""

    code: int
    out: str
    err: str
    memory: int
    seconds: float


def publish(*words: str | Path, **environment: str) -> VerbRun:
    """Run the verb with ``environment`` added and all cloud credentials removed."""
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
