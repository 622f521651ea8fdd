"""The plots of ``benchmarks/``: its tables' figures beside those of other programs on the same bytes."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tools.pictures.svg import Drawing
from tools.stubs import ROOT

TABLES = ROOT / "benchmarks" / "README.md"

_WIDTH, _LEFT, _RIGHT = 860, 20, 600
LONGEST = _RIGHT - _LEFT
"""The length of the longest bar."""

_BAR = 18
_FIGURE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: (ms|s|MB))?(?: \(([0-9.]+) to ([0-9.]+)\))?")
_RATIO = re.compile(r"<= ([0-9.]+) times (`.+`)")
_PEER = re.compile(r"the same, `(.+?)` (\S+)")
_OURS = "Cloister"


@dataclass(frozen=True)
class TableRow:
    """A row of the tables: what was measured, its target, what was found, and how; with Markdown's back quotes."""

    what: str
    target: str
    here: str
    how: str

    @property
    def figure(self) -> float:
        """The first number of what was found."""
        return float(self._found()[1])

    @property
    def written(self) -> str:
        """The same, as the table writes it."""
        return self._found()[1]

    @property
    def spread(self) -> str:
        """The least and the most of several runs, in brackets; empty for one figure."""
        found = self._found()
        return f" ({found[3]} to {found[4]})" if found[3] else ""

    def _found(self) -> re.Match[str]:
        found = _FIGURE.match(self.here)
        if found is None:
            raise ValueError(f"benchmarks/README.md: {self.what}: {self.here!r} does not begin with a number.")
        return found


def rows(text: str) -> list[TableRow]:
    """All rows of the tables in ``text``."""
    lines = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [TableRow(*(cell.strip() for cell in line)) for line in lines if len(line) == 4]


def verifiers(text: str) -> str:
    """The verifier of hardware evidence beside others on the same bytes; ``text`` is that of the tables."""
    groups: list[tuple[TableRow, str, TableRow]] = []
    known = rows(text)
    for ours, theirs in itertools.pairwise(known):
        if peer := _PEER.match(theirs.what):
            groups.append((ours, f"{peer[1]} {peer[2]}", theirs))
    largest = max(max(ours.figure, theirs.figure) for ours, _, theirs in groups)
    told = "; ".join(f"{a.what}: {_OURS} {a.written} ms, {name} {b.written} ms" for a, name, b in groups)
    made = Drawing(
        _WIDTH, 66 + 118 * len(groups), "Appraisal of hardware evidence, milliseconds of CPU time", _plain(told)
    )
    _head(made, "Appraisal of hardware evidence", "milliseconds of CPU time, warm process; shorter is quicker")
    for number, (ours, name, theirs) in enumerate(groups):
        top = 84 + 118 * number
        made.text(_LEFT, top, _plain(ours.what), "head")
        _bar(made, top + 10, ours.figure / largest, "ours", f"{ours.written} ms, {_OURS}: {ours.how}")
        _bar(made, top + 54, theirs.figure / largest, "theirs", f"{theirs.written} ms, {name}: {theirs.how}")
    return made.render()


def plain_tools(text: str) -> str:
    """Whole commands as multiples of the plain tool that moves the same bytes; ``text`` is that of the tables."""
    found = [(row, ratio) for row in rows(text) if (ratio := _RATIO.fullmatch(row.target))]
    largest = max(max(row.figure, float(ratio[1])) for row, ratio in found)
    told = "; ".join(f"{row.what}: {row.written} times {ratio[2]}, at most {ratio[1]} wanted" for row, ratio in found)
    made = Drawing(_WIDTH, 66 + 66 * len(found), "Time of commands, as multiples of a plain tool's", _plain(told))
    _head(
        made,
        "Time of a command, as a multiple of a plain tool's",
        "same bytes, same run; the line: as long as the plain tool; dashes: at most this much",
    )
    for number, (row, ratio) in enumerate(found):
        top = 84 + 66 * number
        made.text(_LEFT, top, _plain(f"{row.what}, against {ratio[2]}"))
        _bar(made, top + 10, row.figure / largest, "ours", "")
        for multiple, kind in ((1.0, "even"), (float(ratio[1]), "limit")):
            x = _LEFT + multiple / largest * LONGEST
            made.line([(x, top + 5), (x, top + 15 + _BAR)], kind)
        made.text(_RIGHT + 16, top + 24, f"{row.written}{row.spread}, at most {ratio[1]}")
    return made.render()


def _plain(words: str) -> str:
    return words.replace("`", "")


def _head(made: Drawing, title: str, unit: str) -> None:
    made.text(_LEFT, 32, title, "head")
    made.text(_LEFT, 52, unit, "soft small")


def _bar(made: Drawing, top: float, share: float, kind: str, said: str) -> None:
    made.box(_LEFT, top, max(2.0, share * LONGEST), _BAR, kind, 3)
    if said:
        made.text(_LEFT, top + _BAR + 15, _plain(said), "small")


def all_plots() -> Sequence[tuple[str, str]]:
    """File name and text of each plot."""
    text = TABLES.read_text(encoding="utf-8")
    return ("verifiers.svg", verifiers(text)), ("plain-tools.svg", plain_tools(text))
