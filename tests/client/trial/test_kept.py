"""`try --unpack`: what a machine would hand out is written to a folder, and nothing else."""

from pathlib import Path

import pytest

from cloister.client.trial.trial import try_computation

MANIFEST = """\
version: 1
name: kept
parties: {lab: {key: lab.pub}}
algorithm: {provider: lab, file: train.py, kind: python}
datasets: []
results: {consumers: [lab], expires: 1h, max: 1KiB}
limits: {time: 1m, memory: 64MiB, cpus: 1, processes: 16}
"""
WRITES = """
import os
from pathlib import Path
Path("results/a b").mkdir()
Path("results/a b/model.pth").write_bytes(bytes(100))
descriptors = [name for name in os.listdir("/proc/self/fd") if int(name) > 3]
Path("results/descriptors.txt").write_text(repr(descriptors))
"""
REFUSED = {
    "a run that fails": WRITES + "raise SystemExit(1)\n",
    "a link among the results": WRITES + "os.symlink('/etc/passwd', 'results/link')\n",
    "too many bytes": WRITES + "Path('results/large').write_bytes(bytes(2000))\n",
}


def run(tree: Path, folder: Path, program: str) -> bool:
    """Run ``program`` and keep its results in ``folder / "kept"``. Whether a machine would hand them out."""
    (folder / "manifest.yaml").write_text(MANIFEST)
    (folder / "train.py").write_text(program)
    return try_computation(folder / "manifest.yaml", tree, {}, unpack=folder / "kept").ok


def test_results_are_written_and_their_descriptor_is_not_in_the_sandbox(allowed: Path, tmp_path: Path) -> None:
    assert run(allowed, tmp_path, WRITES)

    kept = {path.relative_to(tmp_path / "kept").as_posix(): path for path in (tmp_path / "kept").rglob("*.*")}
    assert sorted(kept) == ["a b/model.pth", "descriptors.txt"]
    assert kept["a b/model.pth"].read_bytes() == bytes(100)
    assert kept["descriptors.txt"].read_text() == "[]"


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_machine_would_not_hand_out_is_not_written(allowed: Path, tmp_path: Path, what: str) -> None:
    assert not run(allowed, tmp_path, REFUSED[what])
    assert not (tmp_path / "kept").exists()
