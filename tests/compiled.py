"""C programs of the tests, compiled by this machine's compiler."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools import stubs

MEAN = stubs.ROOT / "examples" / "kinds" / "mean.c"
ESCAPE = stubs.ROOT / "tests" / "e2e" / "sandbox" / "escape.c"


def build(source: Path | str, into: Path, *options: str, compiler: str = "gcc") -> Path:
    """Compile a file, or a text, to the program ``into``; skips the test where there is no such compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"There is no {compiler}.")
    if isinstance(source, str):
        text, source = source, into.with_suffix(".c")
        source.write_text(text)
    subprocess.run([compiler, "-O1", *options, "-o", str(into), str(source)], check=True)
    return into
