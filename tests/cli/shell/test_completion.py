"""Tab completion of the command `cloister` in bash, by the script that it prints."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.stubs import ROOT

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has the command."""
    program = tmp_path / "bin" / "cloister"
    program.parent.mkdir()
    start = f"import sys; sys.argv[0] = {str(program)!r}; from cloister.__main__ import main; main()"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(start)} "$@"\n')
    program.chmod(0o755)
    return os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def completions(typed: list[str], environment: dict[str, str]) -> tuple[set[str], str]:
    """What bash offers for the last of the words, and what is printed on the way."""
    words = " ".join(shlex.quote(word) for word in typed)
    script = (
        'eval "$(cloister --print-completion-script bash)"\n'
        f"COMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}\n"
        f"_complete_cloister cloister {shlex.quote(typed[-1])} {shlex.quote(typed[-2])}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
        "complete -p cloister >&2\n"
    )
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split()), done.stderr.replace("complete -o default -F _complete_cloister cloister\n", "")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["up"], {"upload-algorithm", "upload-data"}),
        (["attest", "--sa"], {"--save"}),
        (["upload-data", "h1.csv", "--man"], {"--manifest"}),
        # A file, which bash completes by itself when there is no candidate.
        (["review", "c"], set()),
        (["upload-data", ""], set()),
        (["upload-data", '"my fi'], set()),
        (["upload-data", "h1.csv", "--manifest", "r"], set()),
        (["attest", "--fetch", ""], set()),
    ],
)
def test_bash_completes_verbs_and_options_and_leaves_files_to_the_shell(
    typed: list[str], offered: set[str], environment: dict[str, str]
) -> None:
    assert completions(["cloister", *typed], environment) == (offered, "")
