"""One measurement of a machine: its value, where that comes from, and the events or pages that lead to it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ValueKind(StrEnum):
    """Who says a value."""

    PREDICTED = "predicted"
    """It follows from the image, and from a firmware file if one is named."""

    RECORDED = "recorded"
    """A real machine measured it, and its log leads to it. Another version of the firmware has another one."""

    VENDOR_ENDORSED = "vendor-endorsed"
    """Only the vendor can say it, since its firmware is not public or cannot be rebuilt."""

    HOST = "host"
    """The host's configuration decides it: processors, memory, devices, boot entries."""

    MISSING = "missing"
    """There is no value, and the source says why."""


@dataclass(frozen=True)
class MeasuredStep:
    """An event of a register or a measured page, and its digest in hex; no digest for a page without contents.

    ``part`` names what many pages in a row belong to; people see them as one line.
    """

    event: str
    digest: str
    part: str = ""


@dataclass(frozen=True)
class MachineValue:
    """A measurement.

    register: ``PCR 4``, ``RTMR 1``, ``MRTD`` or ``launch digest``.
    of: what it holds for; empty if for every machine.
    value: hex; empty without one to publish.
    source: where the value or the statement comes from.
    """

    register: str
    of: str
    kind: ValueKind
    value: str
    source: str
    steps: tuple[MeasuredStep, ...] = ()

    def to_dict(self, *, explain: bool) -> dict[str, object]:
        """The JSON value; ``explain``: with its steps."""
        shown: dict[str, object] = {
            "register": self.register,
            "of": self.of,
            "kind": self.kind.value,
            "value": self.value,
            "source": self.source,
        }
        if explain:
            shown["steps"] = [{"event": one.event, "digest": one.digest} for one in self.steps]
        return shown

    def lines(self, *, explain: bool) -> list[str]:
        """The value for people; ``explain``: with its steps."""
        lines = [f"{self.register:14} {self.kind:16} {self.value or self.source}"]
        if self.of:
            lines.append(f"{'':31} {self.of}")
        if self.value and (explain or self.kind is not ValueKind.PREDICTED):
            lines.append(f"{'':31} source: {self.source}")
        return lines + _listed(self.steps) if explain else lines


def _listed(steps: Sequence[MeasuredStep]) -> list[str]:
    """A line for each step; pages of one part are one line."""
    lines: list[str] = []
    for part, group in itertools.groupby(steps, key=lambda step: step.part):
        alike = list(group)
        if part and len(alike) > 1:
            lines.append(f"    {alike[0].event} to {alike[-1].event} ({len(alike)} pages)")
        else:
            lines += [f"    {one.digest or 'no contents':64}  {one.event}" for one in alike]
    return lines
