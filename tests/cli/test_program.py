"""The command is there by its module, too."""

import subprocess
import sys


def test_the_package_runs_as_the_command() -> None:
    command = [sys.executable, "-m", "cloister", "no-such-verb"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert done.returncode == 1
    assert "`cloister --list` names all verbs" in done.stderr
