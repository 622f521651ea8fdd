"""Nothing is left of a trial, however it ends, and a system that does not allow trials says so."""

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloister.client.trial import engine
from cloister.client.trial.engine import TrialError
from cloister.client.trial.program import run
from cloister.errors import InputError
from cloister.protocol.manifest import Manifest
from tests.agent_runtime.world import manifest_value, new_key
from tests.client.trial.conftest import SMALL, Trial

ROOT = Path(__file__).parents[3]
ENDLESS = """\
import os, signal, time
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        break
print("running", flush=True)
time.sleep(3600)
"""
CALL = """\
import sys
from pathlib import Path
from cloister.client.trial.program import run
tree, source, *mock = map(Path, sys.argv[1:])
show = lambda printed: (sys.stdout.buffer.write(printed), sys.stdout.flush())
run(tree, source, datasets={f"h{number}": path for number, path in enumerate(mock)}, show=show)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "terminated", "killed"])
def test_nothing_is_left_when_the_caller_ends(allowed: Path, tmp_path: Path, how: signal.Signals) -> None:
    source, mock, temporary = tmp_path / "train.py", tmp_path / "mock", tmp_path / "tmp"
    source.write_text(ENDLESS)
    mock.mkdir()
    temporary.mkdir()
    words = [sys.executable, "-c", CALL, str(allowed), str(source), str(mock)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment
    ) as caller:
        try:
            assert caller.stdout is not None
            assert caller.stdout.readline().startswith(b"running")
            inside = _family(caller.pid)
            assert len(inside) > 4
            caller.send_signal(how)
            caller.stdout.read()  # until the last process that could print has ended
        finally:
            caller.kill()  # otherwise a failure above would wait for it for an hour
    _wait_until_ended(inside)
    assert str(allowed) not in Path("/proc/self/mountinfo").read_text()
    assert list(temporary.iterdir()) == []


def _family(process: int) -> list[int]:
    """The descendants of a process: the children of each of its threads, and theirs."""
    found = []
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in children.read_text().split():
            found += [int(child), *_family(int(child))]
    return found


def _wait_until_ended(processes: list[int]) -> None:
    """Wait until the processes have ended; the test's own time limit is the end."""
    for process in processes:
        try:
            descriptor = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        with os.fdopen(descriptor) as ended:
            assert select.select([ended], [], [], 60)[0]


def test_killing_a_process_between_ends_the_rest(allowed: Path, tmp_path: Path) -> None:
    source = tmp_path / "train.py"
    source.write_text(ENDLESS)

    def kill(printed: bytes) -> None:
        if not killed:
            killed.extend(one for one in _family(os.getpid()) if one not in others)
            os.kill(killed[1], signal.SIGKILL)

    # Of other tests in this process, such as the server that forks programs of a cloud.
    others = frozenset(_family(os.getpid()))
    killed: list[int] = []
    with pytest.raises(TrialError, match="ended early"):
        run(allowed, source, limits=SMALL, show=kill)
    _wait_until_ended(killed)


@pytest.mark.parametrize("part", ["usr/bin/crun", "usr/bin/python3", "usr/lib/cloister/agent_runtime/trial/main.py"])
def test_folder_without_a_guest_root_is_refused(tmp_path: Path, part: str) -> None:
    (tmp_path / "train.py").write_text("")
    for one in ("usr/bin/crun", "usr/bin/python3", "usr/lib/cloister/agent_runtime/trial/main.py"):
        if one != part:
            (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / one).touch()
    with pytest.raises(InputError, match=f"it has no {part}") as caught:
        run(tmp_path, tmp_path / "train.py")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        (b'{"torch": "2.7.0"}', r"torch 2\.6\.0 \(there: 2\.7\.0\)"),
        (b"[]", "does not name packages"),
        (b'{"torch": "2.6.0"}' + b" " * 1024 * 1024, "does not name packages"),
        (None, "cannot be read"),
    ],
)
def test_tree_without_the_packages_that_an_algorithm_counts_on_is_refused(
    tmp_path: Path, packages: bytes | None, said: str
) -> None:
    for one in ("usr/bin/crun", "usr/bin/python3", "usr/lib/cloister/agent_runtime/trial/main.py"):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).touch()
    for folder in ("dev", "proc", "run", "sys", "tmp"):
        (tmp_path / folder).mkdir()
    if packages is not None:
        (tmp_path / "usr/lib/cloister/packages.json").write_bytes(packages)
    keys = {name: new_key() for name in ("lab", "hospital", "reader")}
    value = manifest_value(keys, {"algorithm": b"", "h1": b""}, algorithm__image_packages={"torch": "2.6.0"})
    with pytest.raises(InputError, match=said) as caught:
        engine.run(tmp_path, Manifest.from_value(value), {})
    assert caught.value.exit_code == 2


def test_missing_namespaces_are_named_with_the_other_way(allowed: Path, tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("There is no program unshare.")
    source = tmp_path / "train.py"
    source.write_text("")
    call = CALL.replace("run(tree", "from cloister.errors import CloisterError\ntry:\n    run(tree", 1)
    call += "except CloisterError as error:\n    print(error)\n"
    script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"'
    words = ["unshare", "--user", "--map-root-user", "sh", "-c", script, sys.executable, "-c", call, allowed, source]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert "does not let you make the namespaces of a trial: unshare: No space left on device." in done.stdout
    assert "local VM" in done.stdout


@pytest.mark.parametrize("release", ["5.10.0-30-amd64", "4.18.0-553.el8.x86_64", "5.13.19"])
def test_old_kernel_is_refused(trial: Trial, monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """Before 5.14 the limit on processes would be one for all of the caller's programs."""
    known = os.uname()
    monkeypatch.setattr(engine.os, "uname", lambda: os.uname_result((known[0], known[1], release, known[3], known[4])))
    with pytest.raises(TrialError, match=f"Linux 5.14 or newer, not {release}"):
        trial("")


@pytest.mark.parametrize("name", ["dev", "proc", "run", "sys", "tmp"])
def test_nothing_is_mounted_through_a_link_of_a_tree(tmp_path: Path, name: str) -> None:
    for one in ("usr/bin/crun", "usr/bin/python3", "usr/lib/cloister/agent_runtime/trial/main.py"):
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one).touch()
    for folder in ("dev", "proc", "run", "sys", "tmp"):
        if folder == name:
            (tmp_path / folder).symlink_to("/")
        else:
            (tmp_path / folder).mkdir()
    (tmp_path / "train.py").write_text("")
    with pytest.raises(InputError, match=f"its {name} is not a folder"):
        run(tmp_path, tmp_path / "train.py")


@pytest.mark.parametrize("report", [b"[]", b"7", b"{}", b'{"outcome": "FINE"}', b'{"outcome": "OK"}', b"[" * 9999, b""])
def test_malformed_report_of_a_tree_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: bytes
) -> None:
    monkeypatch.setattr(engine, "_check_system", lambda tree: None)
    monkeypatch.setattr(engine, "_execute", lambda *words: engine._answer(report, ""))
    (tmp_path / "train.py").write_text("")
    with pytest.raises(TrialError, match=r"ended early|is malformed"):
        run(tmp_path, tmp_path / "train.py")
