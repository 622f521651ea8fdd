"""``python -m tools.pictures``: writes the pictures of README and benchmarks."""

from pathlib import Path

from tools.pictures import flow, plots
from tools.stubs import ROOT


def pictures() -> dict[Path, str]:
    """The file of each picture, and its text."""
    drawn = {ROOT / "docs" / "pictures" / "flow.svg": flow.draw()}
    return drawn | {ROOT / "benchmarks" / "pictures" / name: text for name, text in plots.all_plots()}


if __name__ == "__main__":
    for path, text in pictures().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
