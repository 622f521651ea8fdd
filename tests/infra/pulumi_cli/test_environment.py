"""``.cloister/env``: what a shell has after reading it."""

import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.errors import InputError
from cloister.process import run
from infra import paths
from infra.pulumi_cli import environment
from infra.pulumi_cli.engine import Engine


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a folder's state"
    monkeypatch.setenv("CLOISTER_STATE", str(folder))
    return folder


def sourced(path: Path, **given: str) -> dict[str, str]:
    """The environment of a POSIX shell that started with ``given`` and read ``path``."""
    script = f'. "{path}" && env -0'
    said = run(["/bin/sh", "-euc", script], env={"PATH": "/usr/bin:/bin", **given}).stdout
    return dict(entry.split("=", 1) for entry in said.decode().split("\0") if entry)


def test_shell_and_verbs_get_the_same_environment(state: Path):
    engine = Engine(state / "engine", "3.259.0", "cache")
    found = sourced(environment.write(engine))
    assert found["PATH"].split(":")[:2] == [str(Path(sys.executable).parent), str(state / "engine")]
    assert found["PULUMI_BACKEND_URL"] == state.as_uri()
    assert found["PULUMI_SKIP_UPDATE_CHECK"] == "1"
    ours = environment.variables(engine, {"PATH": "/usr/bin:/bin"})
    assert {name: found[name] for name in ours} == ours


def test_up_to_date_file_is_not_written(state: Path):
    """Also on a disk that is full or read-only: who only looks at a workspace writes nothing."""
    engine = Engine(state / "engine", "3.259.0", "cache")
    environment.write(engine)
    before = {path.name: path.stat() for path in state.iterdir()}
    environment.write(engine)
    assert {path.name: path.stat() for path in state.iterdir()} == before
    environment.write(replace(engine, folder=state / "other"))
    assert {path.name for path in state.iterdir() if path.stat() != before[path.name]} >= {"env"}


def test_full_disk_is_reported(state: Path):
    state.mkdir(0o700)
    (state / "env.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        environment.write(Engine(state, "3.259.0", "cache"))


def test_the_passphrase_is_private_and_kept(state: Path):
    engine = Engine(state, "3.259.0", "cache")
    environment.write(engine)
    path = state / "passphrase"
    first = path.read_text()
    assert len(first.strip()) >= 40
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    environment.write(engine)
    assert path.read_text() == first


def test_folder_of_others_is_refused_and_stays_as_it_is(state: Path):
    state.mkdir(0o700)
    state.chmod(0o1777)
    with pytest.raises(InputError, match="other users may write to it"):
        environment.write(Engine(state, "3.259.0", "cache"))
    assert stat.S_IMODE(state.stat().st_mode) == 0o1777
    assert list(state.iterdir()) == []


WRITES = """
from pathlib import Path
from infra.pulumi_cli import environment
from infra.pulumi_cli.engine import Engine

for _ in range(100):
    environment.write(Engine(Path("/engine"), "3.259.0", "cache"))
"""


def test_concurrent_verbs_write_one_after_the_other(state: Path):
    words = (sys.executable, "-c", WRITES)
    started = [subprocess.Popen(words, cwd=paths.CHECKOUT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(one.communicate()[1], one.returncode) for one in started] == [("", 0)] * 4
    assert sorted(path.name for path in state.iterdir()) == ["env", "env.lock", "passphrase"]


@pytest.mark.parametrize(
    "given",
    [
        {"PULUMI_BACKEND_URL": "s3://bucket", "PULUMI_CONFIG_PASSPHRASE": "mine"},
        {"PULUMI_BACKEND_URL": "https://api.example.org", "PULUMI_CONFIG_PASSPHRASE": ""},
        {"PULUMI_BACKEND_URL": "file:///elsewhere", "PULUMI_CONFIG_PASSPHRASE_FILE": "/mine"},
    ],
)
def test_variables_set_by_the_user_win(state: Path, given: dict[str, str]):
    engine = Engine(state, "3.259.0", "cache")
    found = sourced(environment.write(engine), **given)
    ours = given | environment.variables(engine, given)
    for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        assert found.get(name) == ours.get(name) == given.get(name)
