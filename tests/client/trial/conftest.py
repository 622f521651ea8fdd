"""The real tree of this checkout's image, and a trial of a few lines of Python in it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloister.client.trial import engine, program
from cloister.client.trial.report import TrialReport
from tests.guest_tree import SMALL, allowed, tree

__all__ = ["SMALL", "allowed", "tree"]

OTHER_USER = 54_321
INTERPRETER = Path("/usr/bin/python3")
"""An interpreter that every user may run; that of the tests may be in a folder of root's."""

Trial = Callable[..., TrialReport]


@pytest.fixture
def trial(allowed: Path, tmp_path: Path) -> Trial:
    """Runs a program in the tree: ``trial("print(1)", datasets={...}, limits=...)``."""

    def run(text: str, **options: object) -> TrialReport:
        source = tmp_path / "train.py"
        source.write_text(text)
        return program.run(allowed, source, **{"limits": SMALL, **options})  # ty: ignore[invalid-argument-type]

    return run


@pytest.fixture(params=["this user", "a user who is not root"])
def any_user(request: pytest.FixtureRequest, allowed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    """As ``trial``, with the text of datasets by name.

    As the user of the tests and, if that is root, also as another one.
    """
    if request.param == "this user":
        folder = Path(tempfile.mkdtemp())
        yield lambda text, **mock: _run(allowed, folder, text, mock)
        shutil.rmtree(folder)
        return
    if os.geteuid() != 0:
        pytest.skip("The tests are not run by root, so `this user` is not root already.")
    if not INTERPRETER.exists():
        pytest.skip(f"There is no {INTERPRETER} that another user may run.")
    # Root's cache and pytest's folders are closed to others.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(allowed, folder / "tree", symlinks=True)
        shutil.copy(engine.ENTER, folder / "enter.py")
        start = engine.subprocess.Popen

        def as_other(words: list[str], **options: object) -> object:
            return start(words, user=OTHER_USER, group=OTHER_USER, extra_groups=[], **options)  # ty: ignore

        monkeypatch.setattr(engine, "ENTER", folder / "enter.py")
        monkeypatch.setattr(engine.sys, "executable", str(INTERPRETER))
        monkeypatch.setattr(engine.subprocess, "Popen", as_other)
        yield lambda text, **mock: _run(folder / "tree", folder, text, mock)


def _run(tree: Path, folder: Path, text: str, mock: dict[str, str]) -> TrialReport:
    source = folder / "train.py"
    source.write_text(text)
    datasets = {}
    for name, content in mock.items():
        datasets[name] = folder / f"{name}.csv"
        datasets[name].write_text(content)
    return program.run(tree, source, datasets=datasets, limits=SMALL)
