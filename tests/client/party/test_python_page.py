"""docs/python.md is a notebook: its blocks run one after another, as a user's process, and show what the page says."""

import doctest
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.party import notebook

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "python.md"
SAME = doctest.OutputChecker().check_output
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture
def cells(machine, parties, tmp_path):
    """What each block of the page printed and showed, in a process that has the keys, the policy and the workspace."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLOISTER_")}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for name in ("train.py", "manifest.yaml", "hospital-2.pem", "hospital-2.pub"):
        (parties.folder / name).unlink()
    done = subprocess.run(
        [sys.executable, "-W", "error", notebook.__file__, PAGE],
        cwd=parties.folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_block_shows_what_the_page_says(cells, parties):
    expected = [block for block in notebook.blocks(PAGE) if not block["mark"]]
    assert [cell["cell"] for cell in cells] == [block["code"] for block in expected]
    for block, cell in zip(expected, cells, strict=True):
        assert SAME(block["shown"] or "...", cell["out"], FLAGS), f"{block['code']}{cell['out']}"
    assert len([block for block in expected if block["shown"]]) > 10

    tables = " ".join(cell["html"] for cell in cells)
    for said in ("pcr-4", "The receipt is signed", "Head of the event log", "h1.csv"):
        assert said in tables
    assert "Proven" in (parties.folder / "report.html").read_text()


def test_few_blocks_are_not_run_and_each_says_why():
    found = notebook.blocks(PAGE)
    marked = [block for block in found if block["mark"]]
    assert len(marked) * 5 <= len(found)
    assert all(block["reason"].strip() for block in marked)
    assert len(found) == len(re.findall(r"^```python", PAGE.read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("more", "right"),
    [
        ("", True),
        ("machine.upload_data('h1.csv', progress=lambda done, size: None)", False),
        ("lab.connect('computation.json').uploads", False),
        ("client.Party(key=1)", False),
        ("for event in machine.events(follow=True):\n    print(event.kind)", False),
    ],
)
def test_type_checkers_know_every_object_of_the_page(tmp_path, more, right):
    program = tmp_path / "page.py"
    program.write_text("\n".join([*(block["code"] for block in notebook.blocks(PAGE)), more]))
    command = [sys.executable, "-m", "ty", "check", "--error-on-warning", "--python", sys.prefix, str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is right, done.stdout
