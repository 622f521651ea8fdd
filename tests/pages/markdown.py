"""Pages in Markdown: their fenced blocks, and the comments before a block that say how a test runs it.

<!-- cloud: needs an Azure subscription -->
```sh
az account show
```
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = (CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md")))
"""Those whose commands are run."""

SHELL = "sh"
"""The language of a block of commands."""

REASONS = ("cloud", "slow", "interactive")
"""Why no test of `make test` runs a block. Everything else runs."""

BEFORE, AS = "before", "as"
"""What a test does before it runs a block, and the party who runs it and all that follow."""

_BLOCK = re.compile(
    r"(?P<comments>(?:^[ ]*<!--(?:(?!-->).)*-->[ ]*\n+)*)"
    r"^(?P<indent>[ ]*)```(?P<language>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"<!--\s*(?:(?P<name>[\w-]+):)?\s*(?P<said>.*?)\s*-->", re.DOTALL)
_ASSIGNMENT = re.compile(r"\w+=\S*")


@dataclass(frozen=True)
class Block:
    """A fenced block. ``comments`` are those directly before it, each a name, empty without one, and what it says."""

    page: Path
    line: int
    language: str
    text: str
    comments: tuple[tuple[str, str], ...]

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(CHECKOUT)}:{self.line}"

    @property
    def marks(self) -> tuple[str, ...]:
        """The reasons for which it is not run."""
        return tuple(name for name, _ in self.comments if name in REASONS)

    def said(self, name: str) -> Iterator[str]:
        """What the comments of that name say."""
        return (said for one, said in self.comments if one == name)

    def commands(self, *programs: str) -> Iterator[list[str]]:
        """The words of each command of these programs, without comments, variables and what follows ``|`` or ``>``."""
        for line in self.text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;<>()")
            lexer.whitespace_split = True
            words: list[str] = []
            try:
                for word in [*lexer, ";"]:
                    if set(word) <= set("&|;<>()"):
                        while words and _ASSIGNMENT.fullmatch(words[0]):
                            words.pop(0)
                        if words and words[0] in programs:
                            yield words
                        words = []
                    else:
                        words.append(word)
            except ValueError as error:
                raise ValueError(f"{self.place}: {line}: {error}") from error


@cache
def blocks(page: Path, language: str | None = None) -> tuple[Block, ...]:
    """The blocks of a page in order, all or those of a language."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        indent = len(match["indent"])
        lines = [line[indent:] if line[:indent].isspace() else line for line in match["text"].splitlines(keepends=True)]
        comments = tuple((one["name"] or "", one["said"]) for one in _COMMENT.finditer(match["comments"]))
        line = text.count("\n", 0, match.start("indent")) + 1
        found.append(Block(page, line, match["language"].strip(), "".join(lines), comments))
    return tuple(one for one in found if language in (None, one.language))
