"""A trial ends with the outcome that a machine would report, and says what the run used."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cloister.client.packages.bundle import make_bundle
from tests.client.trial.conftest import SMALL, Trial

RESULT = "open('results/model.json', 'w').write('{}')\n"
HOG = "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * (8 << 20)))\n"
FILL = "with open('{}/large', 'wb') as file:\n    for _ in range(1000):\n        file.write(bytes(1 << 20))\n"

OUTCOMES = {
    "a result": (RESULT, "OK"),
    "a result in a folder": ("import os\nos.makedirs('results/a/b')\nopen('results/a/b/c', 'w').write('1')", "OK"),
    "a background process": ("import os, time\n" + RESULT + "if os.fork() == 0:\n    time.sleep(600)", "OK"),
    "nothing": ("print('hello')", "NO_RESULT"),
    "an empty folder": ("import os\nos.mkdir('results/a')", "NO_RESULT"),
    "an exception": ("raise ValueError('my mistake')", "EXIT_STATUS"),
    "an exit status": (RESULT + "import sys\nsys.exit(7)", "EXIT_STATUS"),
    "a signal": ("import os\nos.kill(os.getpid(), 6)\nos._exit(3)", "EXIT_STATUS"),
    "too much memory": (HOG, "MEMORY_LIMIT"),
    "too large a result": (FILL.format("results"), "RESULT_LIMIT"),
    "a link": ("import os\nos.symlink('/etc/passwd', 'results/link')", "RESULT_INVALID"),
    "a socket": ("import socket\nsocket.socket(socket.AF_UNIX).bind('results/socket')", "RESULT_INVALID"),
    "a name with a control character": ("open('results/\\x1b[31m', 'w').write('1')", "RESULT_INVALID"),
    "a folder with the name of the proof's": ("import os\nos.mkdir('results/Cloister')\n" + RESULT, "RESULT_INVALID"),
    "a name that is not UTF-8": ("open(b'results/\\xff', 'w').write('1')", "RESULT_INVALID"),
}


@pytest.mark.parametrize("what", OUTCOMES)
def test_outcome_is_that_of_a_machine(trial: Trial, what: str) -> None:
    text, outcome = OUTCOMES[what]
    report = trial(text)

    assert report.outcome == outcome, report.output
    assert report.ok == (outcome == "OK")
    assert report.reason


def test_time_limit_ends_a_run_that_ignores_signals(trial: Trial) -> None:
    text = (
        "import signal, time\nfor one in (2, 15):\n    signal.signal(one, signal.SIG_IGN)\nprint('on')\ntime.sleep(600)"
    )
    report = trial(text, limits=replace(SMALL, time=1))

    assert (report.outcome, report.output) == ("TIME_LIMIT", b"on\n")


def test_damaged_archive_is_a_failed_launch(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "h1.zip").write_bytes(b"no archive")
    report = trial(RESULT, bundle=tmp_path / "h1.zip")

    assert report.outcome == "LAUNCH"
    assert b"cannot be started" in report.output


def test_traceback_is_shown_beyond_the_limit_of_logs(trial: Trial) -> None:
    shown = bytearray()
    report = trial("print('x' * 5000)\n1 / 0", limits=replace(SMALL, logs=100), show=shown.extend)

    assert report.output == b"x" * 100
    assert report.printed == len(shown)
    assert shown.rstrip().endswith(b"ZeroDivisionError: division by zero")


def test_memory_of_processes_and_of_files_in_memory_counts(trial: Trial) -> None:
    half = 80 << 20
    text = f"import time\nopen('/tmp/x', 'wb').write(bytes(1 << 20) * 40)\nheld = b'x' * {half}\n"
    report = trial(text + "time.sleep(0.5)\n" + RESULT)

    assert half + (40 << 20) <= report.memory < 2 * half


def test_dataset_that_stays_packed_does_not_count_as_memory(trial: Trial, tmp_path: Path) -> None:
    """On a machine it is a layer outside of the run's memory."""
    (tmp_path / "h1.bin").write_bytes(bytes(64 << 20))
    report = trial("import time\ntime.sleep(0.5)\n" + RESULT, datasets={"h1": tmp_path / "h1.bin"})

    assert report.outcome == "OK"
    assert report.memory < 48 << 20


def test_memory_of_forked_workers_counts_once(trial: Trial) -> None:
    """Their pages are shared until they are written."""
    text = "import os, time\nheld = b'x' * (60 << 20)\nfor _ in range(4):\n    if os.fork() == 0:\n        break\n"
    report = trial(text + "time.sleep(0.5)\n" + RESULT)

    assert report.outcome == "OK"
    assert 60 << 20 <= report.memory < 120 << 20
    assert report.processes == 5


def test_short_peak_of_memory_is_seen(trial: Trial) -> None:
    """Between two samples: a process's own high-water mark tells."""
    report = trial("import time\nheld = b'x' * (100 << 20)\ndel held\ntime.sleep(0.3)\n" + RESULT)

    assert report.memory >= 100 << 20


def test_suggested_limits_hold_for_the_run(trial: Trial) -> None:
    text = "open('results/model', 'wb').write(bytes(300_000))\nprint('x' * 9000)\n"
    report = trial(text)

    assert report.suggested["results.max"] == "640KiB"
    assert report.suggested["logs.max"] == "20KiB"
    assert report.suggested["limits.time"] == "1m"
    assert report.suggested["limits.memory"] == "64MiB"
    assert [(one.name, one.size) for one in report.results] == [("model", 300_000)]


def test_names_of_results_move_no_cursor(trial: Trial) -> None:
    shown = bytearray()
    report = trial("open('results/\\x1b[31m\\n', 'w').write('1')", show=shown.extend)

    assert [one.name for one in report.results] == ["\ufffd[31m\ufffd"]
    # The log's readers get the same sentence from a machine.
    assert b"The result cannot be accepted: " in shown
    assert b"The result cannot be accepted: " in report.output
    assert b"\x1b" not in shown


def test_bundle_is_imported(trial: Trial, tmp_path: Path) -> None:
    made = make_bundle(Path(__file__).parents[3] / "examples/tumour/requirements.txt", tmp_path / "numpy.bundle")
    text = "import numpy\nprint(numpy.ones((8, 8)).sum())\nnumpy.save('results/a.npy', numpy.zeros(3))"
    report = trial(text, bundle=made.path)

    assert (report.outcome, report.output) == ("OK", b"64.0\n")


def test_datasets_are_copies(trial: Trial, tmp_path: Path) -> None:
    """Files, folders that are unpacked, and what the algorithm does to them."""
    mock = tmp_path / "h1.csv"
    mock.write_text("1,2\n")
    mock.chmod(0o600)
    (tmp_path / "scans" / "sub").mkdir(parents=True)
    (tmp_path / "scans" / "sub" / "a.csv").write_text("3")
    with zipfile.ZipFile(tmp_path / "h3.zip", "w") as archive:
        archive.writestr("b.csv", "4")
    text = (
        "import os\nprint(open('datasets/h1.csv').read(), open('datasets/h2/sub/a.csv').read())\n"
        "print(open('datasets/h3/b.csv').read())\n"
        "open('datasets/h1.csv', 'a').write('more')\nos.rename('datasets/h1.csv', 'datasets/new.csv')\n"
        "os.rename('datasets/h2/sub', 'datasets/h2/other')\n" + RESULT
    )
    report = trial(
        text, datasets={"h1": mock, "h2": tmp_path / "scans", "h3": tmp_path / "h3.zip"}, unpack=["h2", "h3"]
    )

    assert (report.outcome, report.output) == ("OK", b"1,2\n 3\n4\n")
    assert mock.read_text() == "1,2\n"
    assert (tmp_path / "scans/sub/a.csv").read_text() == "3"


@pytest.mark.parametrize("name", [b"a b", b"$(id);\n", b"-rf", b"\xff\xfe", "\u202ea".encode()], ids=repr)
def test_mock_data_may_have_any_name(trial: Trial, tmp_path: Path, name: bytes) -> None:
    """The path of the author's own file never reaches the sandbox."""
    folder = tmp_path / os.fsdecode(name)
    folder.mkdir()
    (folder / "h1.csv").write_text("1,2")
    report = trial("print(open('datasets/h1.csv').read())\n" + RESULT, datasets={"h1": folder / "h1.csv"})

    assert report.output == b"1,2\n"


def test_files_lie_beside_the_algorithm(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("weights")
    (tmp_path / "mine.py").write_text("VALUE = 7")
    text = "import mine\nprint(mine.VALUE, open('weights/a/model.bin').read())\n" + RESULT
    report = trial(text, files={"mine.py": tmp_path / "mine.py", "weights/a/model.bin": tmp_path / "model.bin"})

    assert report.output == b"7 weights\n"
