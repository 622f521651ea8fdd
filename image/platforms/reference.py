"""What each platform's machines measure, register by register: the files ``*.json`` beside this module.

A file says for every register that evidence of the platform shows who can say its value. A value in it was recorded
from a real machine and stands with its source and the events that lead to it. Values that only a vendor can say are not
in it: they change with the vendor's firmware, and a copy here would be taken for a reference.
"""

import dataclasses
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from cloister.errors import InputError
from image.platforms.machine_value import MachineValue, MeasuredStep, ValueKind

PLATFORMS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.json")))
"""Names of platforms, as in evidence."""

_NAMES = ("version", "platform", "registers")
_WITH_FIRMWARE = "pass --firmware with the file that the host launches machines with"


@cache
def load(platform: str) -> tuple[MachineValue, ...]:
    """The registers of a platform, in the order of its file. Raises InputError for another name."""
    if platform not in PLATFORMS:
        raise InputError(f"--platform {platform} is not a platform.", hint=f"Pass one of {', '.join(PLATFORMS)}.")
    parsed = json.loads(Path(__file__).with_name(f"{platform}.json").read_text("utf-8"))
    if tuple(parsed) != _NAMES or (parsed["version"], parsed["platform"]) != (1, platform):
        raise ValueError(f"{platform}.json is not the list of {platform}.")
    return tuple(_value(**one) for one in parsed["registers"])


def _value(
    *, register: str, of: str, kind: str, source: str, value: str = "", steps: Sequence[dict[str, str]] = ()
) -> MachineValue:
    return MachineValue(register, of, ValueKind(kind), value, source, tuple(MeasuredStep(**one) for one in steps))


def of_platform(platform: str, computed: Sequence[MachineValue]) -> tuple[MachineValue, ...]:
    """The registers of a platform: what is computed as ``computed`` has it, the others as recorded."""
    found: list[MachineValue] = []
    for one in load(platform):
        values = [dataclasses.replace(value, source=one.source) for value in computed if _answers(value, one)]
        if one.kind is ValueKind.PREDICTED:
            values = values or [MachineValue(one.register, one.of, ValueKind.MISSING, "", _WITH_FIRMWARE)]
        found += values or [one]
    return tuple(found)


def _answers(value: MachineValue, one: MachineValue) -> bool:
    """Whether a computed value is that of a register of the platform.

    One for the firmware with an image's own keys takes the place of one that was recorded without them.
    """
    if value.register != one.register:
        return False
    if one.kind is ValueKind.RECORDED:
        return value.kind is ValueKind.PREDICTED and bool(value.of)
    return value.kind is one.kind and one.of in value.of
