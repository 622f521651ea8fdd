"""The five commands of docs/verify-it-yourself.md, typed as they are, from a clone to the verdict on a booted machine.

`invoke test.rebuild` runs them.
"""

import os
import pty
import subprocess
from pathlib import Path

import pytest

from infra import paths
from infra.configuration.image import Image
from tests.e2e.workspace import RunningWorkspace
from tests.pages.markdown import SHELL, blocks

pytestmark = pytest.mark.rebuild

_PAGE = paths.CHECKOUT / "docs" / "verify-it-yourself.md"
_ADDRESS = "https://git.example.org/cloister"
_SECONDS = 3000
_QUESTION = b"[y/N] "
# Where packages come from, and what took the place of a lock whose packages are gone.
_KEPT = ("CLOISTER_DEBIAN_", "CLOISTER_LOCKS")


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=paths.CHECKOUT, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def reader(base_image: Image, workspace: RunningWorkspace) -> Path:
    """A folder with the two files that the platform team gives, of a machine of this source."""
    if changed := git("status", "--porcelain", "--untracked-files=no", "agent_runtime", "cloister", "image"):
        pytest.skip(f"a clone does not have what is not committed: {changed.split()[1]}")
    folder = workspace.parties.folder
    (folder / "image.json").write_bytes((base_image.folder / "manifest.json").read_bytes())
    return folder


def test_five_commands_lead_from_a_clone_to_a_verdict(reader: Path) -> None:
    (block,) = blocks(_PAGE, SHELL)
    commands = block.text.splitlines()
    assert len(commands) == 5
    # As the page says: the machine of a test is one on its own computer.
    commands[3] += " --allow-local"
    assert "add `--allow-local` to the fourth" in _PAGE.read_text()
    code, printed = typed("\n".join(commands), reader)
    assert code == 0, printed
    assert "differs" not in printed
    assert "Every output of the rebuilt image base is identical." in printed
    assert "ACCEPTED" in printed


def typed(text: str, folder: Path) -> tuple[int, str]:
    """Type commands at a terminal, where a reader confirms the policy; the exit code, and what was shown."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CLOISTER_", "PYTHON"))}
    environment |= {name: value for name, value in os.environ.items() if name.startswith(_KEPT)}
    # The page's address leads to this checkout.
    environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{paths.CHECKOUT}.insteadOf",
        "GIT_CONFIG_VALUE_0": _ADDRESS,
        "TERM": "dumb",
    }
    command = ["timeout", str(_SECONDS), "bash", "--noprofile", "--norc", "-eu", "-c", text]
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as shell:
        os.close(theirs)
        shown, answered = b"", 0
        while chunk := _read(ours):
            shown += chunk
            if shown.count(_QUESTION) > answered:
                answered += 1
                os.write(ours, b"y\n")
        code = shell.wait()
    os.close(ours)
    return code, shown.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        # A terminal without a program on its other side cannot be read.
        return b""
