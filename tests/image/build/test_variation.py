"""The rebuild of `invoke image.verify` runs as on another machine, and what it reads does not depend on that."""

import os
import sys
from pathlib import Path

import pytest

from cloister.process import run
from image.build import source

_CHECKOUT = Path(source.__file__).parents[2]
_PROGRAM = """
import os, sys
from pathlib import Path
from image.build import source, variation
from image.rootfs.workers import Workers, processors
if sys.argv[1] == "variation":
    variation.become()
folder = sys.argv[2]
with Workers() as workers, os.scandir(folder) as entries:
    print(processors(), workers.count)
    print([entry.name for entry in entries], os.listdir(folder), [path.name for path in Path(folder).iterdir()])
print(source.builders_digest(), source.digest_of_all())
"""


def told(where: str, folder: Path) -> list[str]:
    words = [sys.executable, "-c", _PROGRAM, where, folder]
    return run(words, cwd=_CHECKOUT, env={**os.environ, "PYTHONPATH": str(_CHECKOUT)}).stdout.decode().splitlines()


def test_another_machine_has_another_number_of_processors_and_order_but_the_same_digests(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).touch()
    here, there = told("here", tmp_path), told("variation", tmp_path)

    assert here[0].split() == [str(len(os.sched_getaffinity(0)))] * 2
    assert there[0].split() == ["1", "1"]
    assert there[1] == " ".join(["['c', 'b', 'a']"] * 3)
    assert here[2] == there[2]


@pytest.mark.parametrize("change", ["new", "other contents", "renamed"])
def test_the_digest_of_all_sources_changes_with_any_of_them(tmp_path: Path, change: str) -> None:
    for name in ("cloister/a.py", "agent_runtime/data.json", "image/templates/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "image/__pycache__").mkdir()
    before = source.digest_of_all(tmp_path)
    (tmp_path / "image/__pycache__/b.pyc").write_text("")
    assert source.digest_of_all(tmp_path) == before
    if change == "new":
        (tmp_path / "image/new").touch()
    elif change == "renamed":
        (tmp_path / "image/templates/b").rename(tmp_path / "image/templates/c")
    else:
        (tmp_path / "agent_runtime/data.json").write_text("other")
    assert source.digest_of_all(tmp_path) != before
