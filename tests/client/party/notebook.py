"""Runs the Python blocks of a Markdown page as a notebook does: ``python notebook.py PAGE``, in the folder to work in.

Prints one line of JSON for each block: its first line, what it printed, and what its last expression showed. A comment
above a block, ``<!-- slow: reason -->``, says why it is not run.
"""

import ast
import contextlib
import io
import json
import re
import sys
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>cloud|slow|interactive): (?P<reason>[^>]+) -->\n)?"
    r"```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<shown>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)


def blocks(page: Path) -> list[re.Match[str]]:
    """The blocks of Python of a page, each with what it shows."""
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


def run(code: str, names: dict[str, object]) -> tuple[str, str]:
    """What a cell prints, with the text of its last expression, and the HTML that a notebook would show of that."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    out, html = io.StringIO(), ""
    with contextlib.redirect_stdout(out):
        exec(compile(tree, "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            if value is not None:
                print(repr(value))
                show = getattr(value, "_repr_html_", None)
                html = show() if show else ""
    return out.getvalue(), html


if __name__ == "__main__":
    known: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(Path(sys.argv[1])):
        if not block["mark"]:
            said, shown = run(block["code"], known)
            print(json.dumps({"cell": block["code"], "out": said, "html": shown}), flush=True)
