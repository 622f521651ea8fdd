"""What is shown: a table, facts with a name each, sentences. All of it is text, whatever it has of markup."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from cloister.protocol import text

MAX_ROWS = 400
"""Rows of one table: what shows a log of any length stays small and opens at once."""

MAX_OUTPUT = 100_000

_Item = TypeVar("_Item")

Row = Sequence[str] | str
"""The cells of a row, or a sentence in place of one."""


@dataclass(frozen=True)
class TextTable:
    """Rows under a head.

    columns: the head's words, each with what its cells are: ``text``; ``value``, which may be long; ``outcome``,
        coloured by the word; ``name``, the head of its row; ``time`` and ``code``.
    """

    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    caption: str = ""

    @classmethod
    def of(
        cls, columns: Sequence[tuple[str, str]], rows: Iterable[Row], *, caption: str = "", more: str = "further rows"
    ) -> "TextTable":
        """A table of at most :data:`MAX_ROWS` rows: the first and the last, and how many there are between them."""
        return cls(tuple(columns), shortened(tuple(rows), more), caption)


@dataclass(frozen=True)
class Facts:
    """Values, each with its name; ``code`` for values that are digests and the like."""

    rows: tuple[tuple[str, str], ...]
    code: bool = False

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]], *, code: bool = False) -> "Facts":
        """From any pairs."""
        return cls(tuple(rows), code)


@dataclass(frozen=True)
class Sentences:
    """Sentences under a title, which may be empty; ``warning`` for what the reader should think about."""

    lines: tuple[str, ...]
    title: str = ""
    warning: bool = False


@dataclass(frozen=True)
class Output:
    """What a program printed, line by line; of a long one the end."""

    printed: str

    @property
    def shown(self) -> str:
        """At most :data:`MAX_OUTPUT` characters."""
        return self.printed if len(self.printed) <= MAX_OUTPUT else f"...{self.printed[-MAX_OUTPUT:]}"


Part = TextTable | Facts | Sentences | Output


def one_line(said: str) -> str:
    """What an object shows of itself where there are no tables: one line, which no name in it can leave."""
    return f"<{text.printable(said)}>"


def shortened(rows: Sequence[_Item], more: str) -> tuple[_Item | str, ...]:
    """The first and the last of many, and a sentence for those between them: their number and ``more``."""
    left_out = len(rows) - MAX_ROWS
    if left_out <= 0:
        return tuple(rows)
    half = MAX_ROWS // 2
    return (*rows[:half], f"{left_out} {more}", *rows[-half:])
