"""Writes metrics as text. Source: OpenMetrics 1.0, sections "Data Model" and "Text format"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class MetricType(StrEnum):
    """The types that the agent needs."""

    COUNTER = "counter"
    GAUGE = "gauge"
    SUMMARY = "summary"


_SUFFIXES = {MetricType.COUNTER: ("_total",), MetricType.GAUGE: ("",), MetricType.SUMMARY: ("_count", "_sum")}


@dataclass(frozen=True)
class MetricFamily:
    """Metrics of one name. ``unit`` is the name's last word, empty for numbers of things.

    ``samples`` has the values by labels: one for a counter or gauge, count and sum for a summary.
    """

    name: str
    type: MetricType
    help: str
    samples: Mapping[tuple[tuple[str, str], ...], tuple[float, ...]]
    unit: str = ""

    def lines(self) -> Iterable[str]:
        """The family's lines: metadata, then the samples in the order of their labels."""
        yield f"# TYPE {self.name} {self.type.value}"
        if self.unit:
            yield f"# UNIT {self.name} {self.unit}"
        yield f"# HELP {self.name} {_escaped(self.help)}"
        for labels, values in sorted(self.samples.items()):
            words = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
            for suffix, value in zip(_SUFFIXES[self.type], values, strict=True):
                yield f"{self.name}{suffix}{f'{{{words}}}' if words else ''} {_number(value)}"


def encode(families: Iterable[MetricFamily]) -> str:
    """The text of all families, with the line that ends it."""
    return "".join(f"{line}\n" for family in families for line in family.lines()) + "# EOF\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    """Whole numbers without a fraction."""
    return str(int(value)) if float(value).is_integer() else repr(round(value, 6))
