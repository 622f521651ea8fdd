"""What an output says about a failure becomes a pointer to what helps."""

import subprocess
import sys
from pathlib import Path

import pytest

from cloister.client.script.failure import TAIL, OutputEnd, advice

FAILURES = {
    "pip": ("/usr/bin/python3: No module named pip\n", "bundle that, and name the bundle"),
    "pip by a shell": ("sh: 1: pip: not found\n", "bundle that, and name the bundle"),
    "pip as a program": ("FileNotFoundError: [Errno 2] No such file or directory: 'pip3'\n", "bundle that"),
    "import of pip": ("ModuleNotFoundError: No module named 'pip'\n", "bundle that"),
    "a pip of one's own": ("ERROR: No matching distribution found for numpy==2\n", "bundle that"),
    "a package": (
        "ModuleNotFoundError: No module named 'sklearn.svm'\n",
        "add scikit-learn to the requirements",
    ),
    "a module of Python": ("ModuleNotFoundError: No module named 'distutils'\n", "removed from Python 3.12"),
    "what the guest leaves out": (
        "ModuleNotFoundError: No module named 'tkinter'\n",
        "has no tkinter. They draw",
    ),
    "a library": (
        "ImportError: libGL.so.1: cannot open shared object file: No such file or directory\n",
        "no libGL.so.1: `bundle` names",
    ),
    "a name": ("socket.gaierror: [Errno -3] Temporary failure in name resolution\n", "There is no network."),
    "an address": ("OSError: [Errno 101] Network is unreachable\n", "There is no network."),
    "a read-only folder": ("OSError: [Errno 30] Read-only file system: 'model.pkl'\n", "below results/"),
    "another's folder": ("PermissionError: [Errno 13] Permission denied: '/root/x'\n", "below results/"),
    "a full folder": ("OSError: [Errno 28] No space left on device\n", "results.max"),
    "a path of the author's machine": (
        "FileNotFoundError: [Errno 2] No such file or directory: '/home/me/h1.csv'\n",
        "There is no /home/me/h1.csv. A dataset is at datasets/<file>",
    ),
    "a folder, by perror": ("datasets: No such file or directory\n", "There is no datasets. A dataset is at"),
    "a file, by Go": ("2026/11/30 open datasets/h1.csv: no such file or directory\n", "There is no datasets/h1.csv."),
    "a file, by a program": ("cat: /data/h1.csv: No such file or directory\n", "There is no /data/h1.csv."),
    "a file, by Rust": (
        'Err: Os { code: 2, kind: NotFound, message: "No such file or directory" }\n',
        "not where the program looks for it. A dataset is at",
    ),
    "a script, by Python": (
        "python3: can't open file '/app/train.py': [Errno 2] No such file or directory\n",
        "There is no /app/train.py.",
    ),
    "a program, by the runtime": (
        "executable file `/work/./mean` not found: No such file or directory\n",
        "There is no /work/./mean.",
    ),
    "a read-only folder, by Go": ("panic: open out.txt: read-only file system\n", "below results/"),
    "a read-only folder, by Rust": ('Os { code: 30, kind: ReadOnlyFilesystem, message: "x" }\n', "below results/"),
    "another's folder, by a shell": ("sh: 1: cannot create x: Permission denied\n", "below results/"),
    "a full folder, by Go": ("write results/x: no space left on device\n", "results.max"),
    "a folder that WASI does not open": ("/data: Capabilities insufficient\n", "by these relative paths"),
    "the same, by Rust": ("failed to find a pre-opened file descriptor through which\n", "by these relative paths"),
    "an error without a path": ("OSError: No such file or directory\n", ""),
    "no failure": ("epoch 1: loss 0.5\nPermission to continue\n", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_failure_in_the_output_points_to_what_helps(kind: str) -> None:
    printed, said = FAILURES[kind]
    found = advice(f"epoch 1\n{printed}".encode())
    assert (found == ()) if not said else (len(found) == 1 and said in found[0])


REAL = {
    "Read-only file system": "import errno, os\nraise OSError(errno.EROFS, os.strerror(errno.EROFS), 'model.pkl')",
    "No module named": "import certainly_missing",
    "gaierror": "import socket\nraise socket.gaierror(socket.EAI_AGAIN, 'Temporary failure in name resolution')",
    "CalledProcessError": "import subprocess, sys\nsubprocess.check_call([sys.executable, '-c', 'import pip_'])",
    "FileNotFoundError": "open('/nowhere/h1.csv')",
    "chained": "try:\n    1 / 0\nexcept ArithmeticError:\n    raise PermissionError(13, 'Permission denied', 'x')",
}


@pytest.mark.parametrize("kind", REAL)
def test_traceback_at_the_end_is_seen(tmp_path: Path, kind: str) -> None:
    (tmp_path / "train.py").write_text(f"print('started', flush=True)\ndef main():\n    exec({REAL[kind]!r})\nmain()\n")
    done = subprocess.run([sys.executable, "train.py"], cwd=tmp_path, capture_output=True, check=False)
    output = done.stdout + done.stderr
    end = OutputEnd()
    for at in range(0, len(output), 7):
        end.add(output[at : at + 7])
    assert end.is_error(), output.decode()
    assert end.advice()


@pytest.mark.parametrize(
    "printed",
    [
        b"",
        b"done\n",
        b"Traceback (most recent call last):\n  File 'x', line 1\nOSError: Read-only file system\nwent on\n",
        b"OSError: [Errno 30] Read-only file system: 'x'\n",
    ],
)
def test_program_that_went_on_has_not_ended_with_an_error(printed: bytes) -> None:
    end = OutputEnd()
    end.add(printed)
    assert not end.is_error()


def test_only_the_end_is_kept_and_few_things_are_said() -> None:
    end = OutputEnd()
    end.add(b"OSError: Read-only file system\n")
    for _ in range(TAIL // 1000 + 1):
        end.add(b"." * 1000)
    assert end.advice() == ()
    lines = "".join(f"ModuleNotFoundError: No module named 'm{number}'\n" for number in range(50))
    assert len(advice(lines.encode())) == 3


@pytest.mark.parametrize(
    "piece",
    [
        b"lib",
        b"a.",
        b"No module named pip ",
        b"  x\n",
        b"a/",
        b"a/b.c ",
        b"datasets: ",
        b"Traceback (most recent call last):\n",
    ],
)
def test_hostile_output_takes_little_time(piece: bytes) -> None:
    end = OutputEnd()
    end.add(piece * (TAIL // len(piece)))
    end.advice()
    end.is_error()
