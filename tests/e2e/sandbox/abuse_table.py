"""The tables of docs/sandbox.md, which are what the tests expect: outcome by abuse."""

import json
import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "sandbox.md"
ABUSER = Path(__file__).with_name("abuser.py")
SURVIVES, ENDS = "What a run survives", "What ends a run, or makes its result invalid"

_ROW = re.compile(r"\| (.+?) \| (.+) \|")


def expected(section: str) -> dict[str, str]:
    """The rows of a section's table, without headings; outcomes without the marks of code."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = [found.groups() for line in text.splitlines() if (found := _ROW.fullmatch(line))]
    return {
        name: outcome.replace("`", "")
        for name, outcome in rows
        if name not in ("abuse", "---") and not name.startswith("**")
    }


def outcomes(printed: bytes) -> dict[str, str]:
    """What ``abuser.py`` printed before it flooded its output, in order."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith(b"[")]
    return {name: outcome for name, outcome, _ in lines}
