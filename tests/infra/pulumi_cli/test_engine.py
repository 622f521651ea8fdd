"""Where the Pulumi engine comes from: PATH, then the cache; programs of a few lines stand in for it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.pulumi_cli import engine
from infra.pulumi_cli.engine import Engine
from tests.infra.project import wait_for


def program(path: Path, says: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def cached() -> Path:
    folder = engine.home() / "bin"
    for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
        program(folder / name, f"v{engine.VERSION}")
    return folder


def test_an_engine_of_a_tested_version_on_path_is_taken(tmp_path: Path):
    cached()
    program(tmp_path / "bin" / "pulumi", "v3.260.1")
    program(tmp_path / "bin" / "pulumi-language-python", "x")
    assert engine.find() == Engine(tmp_path / "bin", "3.260.1", "PATH")


@pytest.mark.parametrize("version", ["v3.258.9", "v3.300.0", "v4.0.0", "nonsense"])
def test_untested_version_on_path_is_ignored(tmp_path: Path, version: str):
    folder = cached()
    program(tmp_path / "bin" / "pulumi", version)
    program(tmp_path / "bin" / "pulumi-language-python", "x")
    assert engine.find() == Engine(folder, engine.VERSION, "cache")


def test_engine_without_language_host_is_ignored(tmp_path: Path):
    program(tmp_path / "bin" / "pulumi", f"v{engine.VERSION}")
    assert engine.find() is None


def test_incomplete_cache_is_ignored(tmp_path: Path):
    (cached() / "pulumi-language-python-exec").unlink()
    assert engine.find() is None


def test_installed_engine_is_used_silently():
    folder = cached()
    said: list[str] = []
    assert engine.ensure(said.append) == Engine(folder, engine.VERSION, "cache")
    assert said == []


def test_leftovers_of_a_killed_build_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cached()
    stale = engine.home().parent / ".work-abc"
    (stale / "go" / "mod").mkdir(parents=True)
    monkeypatch.setenv("PATH", os.defpath)
    engine.ensure(print)
    wait_for(lambda: not stale.exists(), "the folder is gone")


def test_two_setups_at_once_get_one_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The second says that it waits, and then takes what the first one has fetched."""
    begun, waits = threading.Event(), threading.Event()
    fetched: list[Path] = []

    def release(work: Path, say: engine.Say) -> bool:
        fetched.append(work)
        begun.set()
        assert waits.wait(60)
        for name in engine._PROGRAMS:
            program(work / "bin" / name, f"v{engine.VERSION}")
        return True

    def second() -> Engine:
        assert begun.wait(60)
        return engine.ensure(lambda line: waits.set())

    monkeypatch.setattr(engine, "_release", release)
    monkeypatch.setenv("PATH", os.defpath)
    with ThreadPoolExecutor(2) as pool:
        sources = [pool.submit(engine.ensure, print), pool.submit(second)]
        assert [made.result(60).source for made in sources] == ["release", "cache"]
    assert len(fetched) == 1


def test_the_locks_name_the_version_that_is_built():
    text = (engine.TOOLS / "go.mod").read_text()
    for part in ("pkg", "sdk"):
        assert f"github.com/pulumi/pulumi/{part}/v3 v{engine.VERSION}" in text
