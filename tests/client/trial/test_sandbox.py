"""The sandbox of a trial is a machine's, and gets nothing of the caller's."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.client.trial import program
from cloister.client.trial.engine import TrialError
from tests.client.trial.conftest import SMALL, Trial
from tests.e2e.sandbox.prison import INSIDE

PRISONER = Path(__file__).parents[2] / "e2e" / "sandbox" / "prisoner.py"
RESULT = "open('results/model.json', 'w').write('{}')\n"


def test_sandbox_is_that_of_a_machine(any_user: Trial, request: pytest.FixtureRequest) -> None:
    report = any_user(PRISONER.read_text(), h1="1,2\n")
    found = json.loads(report.output)
    read_only = found.pop("read-only")

    # A fork bomb ends as on a machine. The algorithm and multiprocessing's resource tracker are two of the processes.
    assert found.pop("forks") == SMALL.processes - 2
    assert found == {
        **{name: value for name, value in INSIDE.items() if name != "read-only"},
        "memory": {path: [SMALL.memory, 262_144] for path in ("/tmp", "/dev/shm")},
        "dataset files": ["h1.csv"],
    }
    root = os.geteuid() == 0 and "this user" in request.node.name
    # Without root there is one id only, so the algorithm owns the small file systems around it.
    assert read_only == [path for path in INSIDE["read-only"] if root or path != "/run/x"]


def test_four_forked_workers_work(any_user: Trial) -> None:
    text = (
        "import multiprocessing\n"
        "with multiprocessing.get_context('fork').Pool(4) as pool:\n    print(sum(pool.map(abs, range(-100, 0))))\n"
    )
    report = any_user(text + RESULT)

    assert (report.outcome, report.output) == ("OK", b"5050\n")


def test_environment_of_the_caller_stays_outside(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOISTER_KEY", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "LD_PRELOAD", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "/of/the/caller")
    text = "import json, os, sys\nprint(json.dumps([dict(os.environ), sys.path[0], os.listdir('/proc/self/fd')]))\n"
    report = trial(text + RESULT, environment={"MINE": "1"})
    environment, first, descriptors = json.loads(report.output)

    assert environment == {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "MINE": "1",
        "PATH": "/usr/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    assert first == "/work"
    assert descriptors == ["0", "1", "2", "3"]  # 3 is that of the listing


def test_files_of_the_caller_stay_outside(trial: Trial, tmp_path: Path) -> None:
    secret = tmp_path / "me.pem"
    secret.write_text("a key")
    text = (
        f"import os\nprint(os.path.exists({str(secret)!r}), os.path.exists('/home'), os.path.exists('/root'))\n"
        "print(sorted(line.split()[4] for line in open('/proc/self/mountinfo')))\n"
    )
    report = trial(text)

    assert report.output.startswith(b"False False False\n")
    assert str(tmp_path).encode() not in report.output


def test_processes_of_the_caller_stay_outside(trial: Trial) -> None:
    report = trial("import os\nprint([name for name in os.listdir('/proc') if name.isdigit()])\n" + RESULT)

    assert report.output == b"['1']\n"


def test_only_loopback_is_there(trial: Trial) -> None:
    text = (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\nprint('local')\n"
        "try:\n    socket.create_connection(('192.0.2.1', 80), timeout=5)\n"
        "except OSError as error:\n    print(error.errno)\n"
    )
    assert trial(text + RESULT).output == b"local\n101\n"


def test_limits_that_do_not_hold_exactly_are_listed(trial: Trial) -> None:
    report = trial("import os\nprint(len(os.sched_getaffinity(0)))\n" + RESULT, limits=replace(SMALL, cpus=1))

    if report.not_enforced:
        assert report.output == b"1\n"
        assert [one.partition(":")[0] for one in report.not_enforced] == [
            "memory",
            "cpus",
            "page cache",
            "unnamed memory",
        ]


def test_kernel_and_processors_are_those_of_this_machine(trial: Trial) -> None:
    report = trial("import os\nprint(os.uname().release, os.uname().nodename, os.cpu_count())\n" + RESULT)

    assert report.output.decode().split() == [os.uname().release, "algorithm", str(os.cpu_count())]


def test_arguments_reach_the_algorithm_as_they_are(trial: Trial) -> None:
    words = ["--epochs", "1", "$HOME `id` \"'", "é\u4e2d", ""]
    report = trial("import json, sys\nprint(json.dumps(sys.argv[1:]))\n" + RESULT, args=words)

    assert json.loads(report.output) == words


WRITES = """
import json, os, sys
def main():
    said = []
    for name in ("algorithm", "datasets/h1.csv"):
        try:
            said.append(open("/run/cloister/assets/" + name, "a").write("changed"))
        except OSError as error:
            said.append(error.strerror)
    os.write(int(sys.argv[1]), json.dumps({"failure": "told", "why": repr(said)}).encode())
"""


def test_not_even_a_program_of_the_tree_writes_to_the_authors_files(allowed: Path, tmp_path: Path) -> None:
    shutil.copytree(allowed, tmp_path / "tree", symlinks=True)
    own = tmp_path / "tree/usr/lib/cloister/agent_runtime/trial"
    shutil.rmtree(own / "__pycache__")  # the image's bytecode is used without a look at the source
    (own / "main.py").write_text(WRITES)
    files = {name: tmp_path / name for name in ("train.py", "h1.csv")}
    for path in files.values():
        path.write_text("1")
    with pytest.raises(TrialError, match="'Read-only file system', 'Read-only file system'"):
        program.run(tmp_path / "tree", files["train.py"], datasets={"h1": files["h1.csv"]}, limits=SMALL)
    assert [path.read_text() for path in files.values()] == ["1", "1"]
