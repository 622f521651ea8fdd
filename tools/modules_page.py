"""``python -m tools.modules_page``: writes ``docs/modules.md``, one line a module, from the modules' docstrings."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.stubs import ROOT

PAGE = ROOT / "docs" / "modules.md"
FOLDERS = ("cloister", "agent_runtime", "image", "infra", "tools", "benchmarks", "examples")

_ROLE = re.compile(r":\w+:`~?\.?([^`]+)`")
_GENERATED = ROOT / "cloister" / "v1"
_HEAD = """\
# Modules

Generated from the source by `python -m tools.modules_page`; do not edit.

Every module with the first sentence of its docstring. [architecture.md](architecture.md) says what a room may import.
"""


def page() -> str:
    """The text of the page."""
    rooms = [room for folder in FOLDERS for room in _rooms(ROOT / folder)]
    return "\n".join([_HEAD, *(line for room in rooms for line in _section(room))])


def sentence(module: Path) -> str:
    """The first sentence of the module's docstring, in Markdown; empty without a docstring."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    first = re.match(r".*?(?:\.(?=\s|$)|$)", " ".join(text.split("\n\n")[0].split()))
    return _ROLE.sub(r"`\1`", first[0] if first else "").replace("``", "`").replace("|", "\\|")


def modules(room: Path) -> list[Path]:
    """The modules of a room, without those of the rooms inside it."""
    return sorted(path for path in room.glob("*.py") if path.name != "__init__.py")


def _rooms(folder: Path) -> Iterator[Path]:
    """The folder and every folder inside it that has modules."""
    if any(folder.glob("*.py")) and folder != _GENERATED:
        yield folder
    for inside in sorted(path for path in folder.iterdir() if path.is_dir()):
        yield from _rooms(inside)


def _section(room: Path) -> Iterator[str]:
    yield f"## {room.relative_to(ROOT).as_posix()}/\n"
    package = room / "__init__.py"
    if package.exists() and (about := sentence(package)):
        yield f"{about}\n"
    if modules(room):
        yield "| module | contents |\n|---|---|"
        yield from (f"| `{module.stem}` | {sentence(module)} |" for module in modules(room))
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
