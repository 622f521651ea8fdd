"""Every row of docs/sandbox.md, in a trial. `invoke test.sandbox` compares the first table on a booted machine, too."""

from dataclasses import replace

import pytest

from tests.client.trial.conftest import SMALL, Trial
from tests.e2e.sandbox.abuse_table import ABUSER, ENDS, SURVIVES, expected, outcomes

RESULT = "open('results/model.json', 'w').write('{}')\n"
SHARED = """\
import mmap, os
kept = []
os.fork()
while True:
    part = mmap.mmap(-1, 8 << 20)
    part.write(b"x" * (8 << 20))
    kept.append(part)
"""
MEMFD = """\
import mmap, os
kept = []
while True:
    part = os.memfd_create("part")
    os.write(part, bytes(8 << 20))
    kept.append(mmap.mmap(part, 8 << 20, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE))
"""
HOARD = """\
import itertools
for number in itertools.count():
    for place in ("/tmp", "/dev/shm"):
        with open(f"{place}/{number}", "wb") as file:
            file.write(bytes(1 << 20))
"""
FOREVER = "import signal, time\nfor one in (1, 2, 15):\n    signal.signal(one, signal.SIG_IGN)\ntime.sleep(600)\n"
LEFT_BEHIND = """\
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            with open("results/model.json", "a") as file:
                file.write("x" * 4096)
            time.sleep(0.05)
    os._exit(0)
"""

ABUSES = {
    "memory bomb: private memory": "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * (8 << 20)))\n",
    "memory bomb: shared memory of two processes": SHARED,
    "memory bomb: files without a name (memfd), mapped": MEMFD,
    "memory bomb: files in /tmp and /dev/shm, neither of which is full": HOARD,
    "run on forever, and ignore signals": FOREVER,
    "leave processes behind that write to the result later": LEFT_BEHIND + RESULT,
    "symbolic link in the result": "import os\nos.symlink('/etc/passwd', 'results/a')\n",
    "socket in the result": "import socket\nsocket.socket(socket.AF_UNIX).bind('results/a')\n",
    "folders nested 40 deep in the result": "import os\nos.makedirs('results' + '/d' * 40)\n" + RESULT,
    "5,000 files in the result": "for number in range(5000):\n    open(f'results/{number}', 'w').close()\n",
    "file name of 255 bytes, 12 folders deep": "import os\nos.makedirs('results' + ('/' + 'd' * 255) * 12)\n" + RESULT,
    "two names for one file in the result (hard link)": RESULT
    + "import os\nos.link('results/model.json', 'results/a')",
    "file of 1 GiB without contents in the result": "open('results/a', 'wb').truncate(1 << 30)\n",
    "result that grows while it is counted": LEFT_BEHIND + RESULT,
}


def test_run_survives_what_the_page_says(trial: Trial) -> None:
    report = trial(ABUSER.read_text(encoding="utf-8"), datasets={"h1": ABUSER})
    assert report.outcome == "OK", report.output
    assert outcomes(report.output) == expected(SURVIVES)
    assert len(report.output) == SMALL.logs


def test_page_and_tests_have_the_same_abuses() -> None:
    assert list(ABUSES) == list(expected(ENDS))


@pytest.mark.parametrize("name", ABUSES)
def test_run_ends_as_the_page_says(trial: Trial, name: str) -> None:
    seconds = 1 if ABUSES[name] == FOREVER else SMALL.time
    report = trial(ABUSES[name], limits=replace(SMALL, time=seconds))
    assert report.outcome == expected(ENDS)[name].partition(":")[0].partition(",")[0], report.output
