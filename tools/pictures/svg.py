"""A drawing as SVG: boxes, texts and arrows in the reader's colours, with a title and a description.

A few shapes do not need a library, and the same bytes come out everywhere.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

_STYLE = """\
  svg { --paper: #fff; --ink: #1c2024; --soft: #565e67; --line: #b8bfc7; --tint: #f3f5f7; --accent: #1f5fa8; }
  svg { --good: #14663a; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #14171a; --ink: #e7eaee; --soft: #a9b2bc; --line: #4a525b; --tint: #20252a; --accent: #7db4f0; }
    svg { --good: #6fd19a; }
  }
  text { fill: var(--ink); font: 14px system-ui, "DejaVu Sans", sans-serif; }
  .head { font-size: 16px; font-weight: 700; } .verb { font: 700 14px ui-monospace, "DejaVu Sans Mono", monospace; }
  .soft { fill: var(--soft); } .small { font-size: 12.5px; } .end { text-anchor: end; } .middle { text-anchor: middle; }
  .paper { fill: var(--paper); } .box { fill: var(--tint); stroke: var(--line); }
  .machine { fill: var(--paper); stroke: var(--accent); stroke-width: 2; }
  .ours { fill: var(--accent); } .theirs { fill: var(--soft); }
  .way { fill: none; stroke: var(--accent); stroke-width: 2; } .tip { fill: var(--accent); }
  .rule { fill: none; stroke: var(--line); } .even { fill: none; stroke: var(--ink); stroke-width: 2; }
  .limit { fill: none; stroke: var(--good); stroke-width: 2; stroke-dasharray: 5 4; }
  .good { fill: var(--good); }"""

_TIP = 7


class Drawing:
    """Shapes on paper of ``width`` times ``height``; the reader's program scales them."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        self._size = width, height
        self._said = title, description
        self._shapes: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str = "box", radius: int = 6) -> None:
        """A rectangle with round corners."""
        place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
        self._shapes.append(f'<rect class="{kind}" {place} rx="{radius}"/>')

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        """One line of text, whose baseline is at ``y``."""
        marked = f' class="{kind}"' if kind else ""
        self._shapes.append(f'<text{marked} x="{_number(x)}" y="{_number(y)}">{escape(words)}</text>')

    def line(self, points: Sequence[tuple[float, float]], kind: str = "rule") -> None:
        """A line through ``points``."""
        self._shapes.append(f'<polyline class="{kind}" points="{_points(points)}"/>')

    def arrow(self, points: Sequence[tuple[float, float]]) -> None:
        """A line through ``points`` with a tip at its end; its last part is level or upright."""
        (x, y), (before_x, before_y) = points[-1], points[-2]
        along = (x > before_x) - (x < before_x), (y > before_y) - (y < before_y)
        back = x - _TIP * along[0], y - _TIP * along[1]
        side = along[1] * _TIP * 0.6, along[0] * _TIP * 0.6
        self.line([*points[:-1], back], "way")
        tip = [(x, y), (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])]
        self._shapes.append(f'<polygon class="tip" points="{_points(tip)}"/>')

    def render(self) -> str:
        """The file's text."""
        width, height = self._size
        title, description = map(escape, self._said)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                f'height="{height}" role="img" aria-labelledby="title desc">',
                f'<title id="title">{title}</title>',
                f'<desc id="desc">{description}</desc>',
                f"<style>\n{_STYLE}\n</style>",
                f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
                *self._shapes,
                "</svg>\n",
            ]
        )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
