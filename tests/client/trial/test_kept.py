"""`try --unpack`: what a machine would hand out is written to a folder, and nothing else."""

import io
import zipfile
from pathlib import Path
from typing import IO

import pytest

from cloister.client.trial import engine
from cloister.client.trial.report import TrialReport
from cloister.client.trial.trial import try_computation
from cloister.errors import InputError

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
    folder.mkdir(exist_ok=True)
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


def _zip(name: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, b"text")
    return made.getvalue()


@pytest.mark.parametrize("data", [b"", b"no zip", _zip("../outside"), _zip("results/../../outside")], ids=range(4))
def test_what_a_tree_of_another_program_hands_out_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    def other(tree: object, manifest: object, assets: object, show: object, keep: IO[bytes]) -> TrialReport:
        keep.write(data)
        keep.flush()
        return TrialReport("OK", 1.0, 1, 1, 1, 0, b"", (), {}, ())

    monkeypatch.setattr(engine, "run", other)
    monkeypatch.setattr("cloister.client.trial.trial.open_tree", lambda root: root)
    with pytest.raises(InputError, match="did not hand out the results") as caught:
        run(tmp_path, tmp_path / "inside", WRITES)
    assert caught.value.exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    assert not (tmp_path / "inside/kept").exists()
