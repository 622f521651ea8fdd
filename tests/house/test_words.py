"""Hard-to-read phrases do not occur in messages, docstrings, comments, doc pages or test names."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("agent_runtime", "benchmarks", "cloister", "examples", "image", "infra", "tools", "tasks.py")
PAGES = ("docs", "findings", "proto", "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Makefile")
SUFFIXES = {".json", ".md", ".proto", ".py", ".sh", ".toml", ".yaml"}
NOT_PROSE = ("cloister/v1/", "image/locks/", "docs/glossary.md", "tests/house/test_words.py")
"""Generated files, and those that name the phrases."""

PHRASES = (
    r"nobody",
    r"somebody",
    r"whoever",
    r"(?:is|are) none",
    r"otherwise than",
    r"(?:leave|leaves|left|leaving)(?: [\w`'-]+){0,3} away",
    r"comes? into question",
    r"(?:is|are) to be",
    r"in earnest",
    r"anew",
    r"of then",
    r"(?<!there )(?:is|are) no (?!longer|one)\w+",
    r"belongs? into",
)
_PATTERN = re.compile(rf"\b(?:{'|'.join(PHRASES)})\b")


def _files(*tops: str) -> Iterator[Path]:
    for top in tops:
        found = sorted((ROOT / top).rglob("*")) if (ROOT / top).is_dir() else [ROOT / top]
        for path in found:
            name = path.relative_to(ROOT).as_posix()
            suffixes = {".py"} if top == "tests" else SUFFIXES
            is_prose = (path.suffix in suffixes or name == top) and not name.startswith(NOT_PROSE)
            if path.is_file() and is_prose:
                yield path


def _phrases(text: str) -> list[str]:
    """The phrases in a text, across line breaks. Python's ``None`` does not count."""
    plain = re.sub(r"\s+(?:# )?", " ", text.replace("None", ""))
    return [found[0] for found in _PATTERN.finditer(plain.lower())]


def _comments_and_strings(source: str) -> str:
    """The prose of a module."""
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return "\n".join(token.string for token in tokens if token.type in kinds)


def _names_and_docstrings(source: str) -> str:
    """The prose of a test module: names and docstrings."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append(node.name.replace("_", " "))
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
            found.append(ast.get_docstring(node) or "")
    return "\n.\n".join(found)


def _prose(path: Path) -> str:
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return source
    return _names_and_docstrings(source) if path.is_relative_to(ROOT / "tests") else _comments_and_strings(source)


@pytest.mark.parametrize("tops", [PRODUCT, PAGES, ("tests",)], ids=["product", "pages", "tests"])
def test_no_phrase_occurs(tops: tuple[str, ...]) -> None:
    found = {path.relative_to(ROOT).as_posix(): _phrases(_prose(path)) for path in _files(*tops)}

    assert {name: phrases for name, phrases in found.items() if phrases} == {}


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Leave the option\n    away.", ["leave the option away"]),
        ("# Nobody\n# is to be asked.", ["nobody", "is to be"]),
        ("It is None; it is nonempty; they are right away here.", []),
        ("This is no wheel. There is no wheel. It is no longer here.", ["is no wheel"]),
    ],
)
def test_phrases_are_found_across_lines(text: str, phrases: list[str]) -> None:
    assert _phrases(text) == phrases


def test_only_the_protocol_names_states_as_on_the_wire() -> None:
    """A message, an option or a page that did would be a second set of names for the states (docs/verbs.md)."""
    wire = re.compile(r"ReceivingAssets|WaitingForStart|ConsumingResults|Receiving Assets|Consuming Results")
    found = {path.relative_to(ROOT).as_posix() for path in _files(*PRODUCT, *PAGES) if wire.search(path.read_text())}

    assert {name for name in found if not name.startswith(("docs/api/", "docs/schemas/"))} == {
        "cloister/protocol/events.py",
        "cloister/protocol/progress.py",
        "cloister/protocol/schemas/event.schema.json",
        "docs/coming-from-cocos.md",
        "docs/protocol.md",
    }
