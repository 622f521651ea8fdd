"""The pictures show what the text and the tables beside them say."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tools.pictures import plots
from tools.pictures.__main__ import pictures
from tools.stubs import ROOT

SVG = "{http://www.w3.org/2000/svg}"
PICTURES = pictures()
SHOWN = {"flow.svg": ROOT / "README.md", "verifiers.svg": plots.TABLES, "plain-tools.svg": plots.TABLES}
TABLE = """\
| what | target | here | how |
|---|---|---|---|
| copying | <= 2 times `cp` | 1.50 (1.2 to 1.8), idle | `benchmarks x` |
| quote alone | | 4.0 ms | 3 checks & more |
| the same, `other` 1.0 | | 8.0 ms | Rust |
"""


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_committed_picture_is_what_its_generator_writes(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PICTURES[path], "Run `python -m tools.pictures`."


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_picture_is_shown_and_described(path: Path) -> None:
    page = SHOWN[path.name]
    assert f"]({path.relative_to(page.parent)})" in page.read_text(encoding="utf-8")
    drawn = ET.fromstring(PICTURES[path])
    assert drawn.get("role") == "img"
    labels = (drawn.get("aria-labelledby") or "").split()
    said = {one.get("id"): one.text for one in drawn if one.tag in (f"{SVG}title", f"{SVG}desc")}
    assert all(said[label] for label in labels)
    assert "prefers-color-scheme: dark" in (drawn.findtext(f"{SVG}style") or "")


def test_every_committed_picture_has_a_generator() -> None:
    found = {path for folder in ("docs", "benchmarks") for path in (ROOT / folder).rglob("*.svg")}
    assert found == set(PICTURES)


def test_every_verb_of_the_flow_exists() -> None:
    texts = [one.text or "" for one in ET.fromstring(PICTURES[ROOT / "docs/pictures/flow.svg"]).iter(f"{SVG}text")]
    verbs = {path.stem.replace("_", "-") for path in (ROOT / "cloister/cli").glob("*.py")}
    for verb in ("policy", "attest", "review", "run", "events", "result"):
        assert verb in texts
        assert verb in verbs


def test_bars_are_as_long_as_the_figures() -> None:
    for draw, lengths in ((plots.verifiers, {"ours": 0.5, "theirs": 1.0}), (plots.plain_tools, {"ours": 0.75})):
        drawn = ET.fromstring(draw(TABLE))
        found = {one.get("class"): float(one.get("width", 0)) for one in drawn.iter(f"{SVG}rect")}
        whole = plots.LONGEST
        assert {kind: found[kind] / whole for kind in lengths} == pytest.approx(lengths)


def test_a_figure_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="copying: 'fast' does not begin with a number"):
        plots.plain_tools(TABLE.replace("1.50 (1.2 to 1.8), idle", "fast"))
