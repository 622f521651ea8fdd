"""The reading orders of docs/architecture.md: the files exist, and each is connected with one before it."""

import ast
import re
from pathlib import Path

import pytest

from cloister import client
from tools.stubs import ROOT

ENTRY = re.compile(r"^\d+\. `([\w./]+\.py)`: (.+)$", re.MULTILINE)


def flows() -> dict[str, list[tuple[str, bool]]]:
    """The files of each flow, and whether another process begins there."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("\n## Reading order\n")[1].split("\n## ")[0]
    return {
        flow.partition("\n")[0]: [(path, said.startswith("*")) for path, said in ENTRY.findall(flow)]
        for flow in section.split("\n### ")[1:]
    }


def module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(path: str) -> set[str]:
    """The modules that a file imports, also inside functions; of ``cloister.client``, where its names are defined."""
    source = (ROOT / path).read_text(encoding="utf-8")
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    if "cloister.client" in found:
        used = set(re.findall(r"\bclient\.(\w+)", source)) & set(client.__all__)
        found |= {getattr(client, name).__module__ for name in used}
    return found


@pytest.mark.parametrize("flow", flows())
def test_every_file_is_connected_with_one_before_it(flow: str) -> None:
    files = flows()[flow]
    assert [path for path, _ in files if not (ROOT / path).is_file()] == []
    lonely = []
    for number, (path, begins) in enumerate(files):
        before = [earlier for earlier, _ in files[:number]]
        reached = {name for earlier in before for name in imports(earlier)}
        if number and not begins and module(path) not in reached and not imports(path) & {module(e) for e in before}:
            lonely.append(path)
    assert lonely == []


def test_the_four_flows_are_there() -> None:
    lengths = {flow: len(files) for flow, files in flows().items()}
    assert set(lengths) == {
        "A dataset's upload",
        "Evidence to verdict",
        "Recipe to disk",
        "Configuration to resources",
    }
    assert min(lengths.values()) > 10


def test_no_file_is_read_twice_in_a_flow() -> None:
    assert [flow for flow, files in flows().items() if len({Path(path) for path, _ in files}) != len(files)] == []
