"""An earlier commit of this project, as a folder beside the checkout, that a benchmark runs in the same way."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measurement import CHECKOUT, BenchmarkError


def checkout(commit: str) -> Path:
    """The files of ``commit``, from this clone's history; or the folder of that name in CLOISTER_BASELINE."""
    given = os.environ.get("CLOISTER_BASELINE")
    if given:
        folder = Path(given).resolve() / commit
        if not folder.is_dir():
            hint = f"Put the files of that commit into {folder}."
            raise BenchmarkError(f"CLOISTER_BASELINE has no folder {commit}.", hint=hint)
        return folder
    folder = CHECKOUT / "out" / "bench" / f"baseline-{commit}"
    if not folder.exists():
        done = subprocess.run(["git", "archive", commit], cwd=CHECKOUT, capture_output=True, check=False)
        if done.returncode:
            raise BenchmarkError(
                f"This clone does not have the commit {commit}.",
                hint=f"Fetch the whole history, or set CLOISTER_BASELINE to a folder with its files in {commit}/.",
            )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            tar.extractall(folder, filter="data")
    return folder


def run(folder: Path, words: Sequence[str]) -> str:
    """Run Python with the code in ``folder``; what it printed on standard output. Raises BenchmarkError."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise BenchmarkError(f"`{' '.join(words)}` in {folder} failed.\n{tail}")
    return done.stdout
