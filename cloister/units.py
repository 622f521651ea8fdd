"""Sizes, durations and times as people write and read them: ``16MiB``, ``24h``, ``2026-03-01 17:30:00+05:30``."""

import datetime
import re
from collections.abc import Mapping
from typing import Any

from cloister.errors import InputError

SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WORDS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<clock>[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r" ?(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?\Z"
)
_QUANTITY = re.compile(r"([0-9]{1,15})\s*([A-Za-z]+)\Z")


def parse_size(text: str | int) -> int:
    """Bytes of ``16MiB``, ``64 KiB``, ``123``. Raises InputError."""
    return _parse(text, SIZE_UNITS, "a size", "16MiB")


def parse_duration(text: str | int) -> int:
    """Seconds of ``24h``, ``90m``, ``30``. Raises InputError."""
    return _parse(text, _SECONDS, "a duration", "24h")


def parse_quantity(text: Any, units: Mapping[str, int]) -> int | None:
    """``text``, a number and one of ``units``, times what the unit stands for; None for anything else."""
    found = _QUANTITY.match(text) if isinstance(text, str) else None
    return int(found[1]) * units[found[2]] if found is not None and found[2] in units else None


def _parse(text: str | int, units: Mapping[str, int], quantity: str, example: str) -> int:
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = parse_quantity(text, units)
    if found is None:
        names = ", ".join(units)
        raise InputError(f"{text!r} is not {quantity}.", hint=f"Write for example {example!r}; the units are {names}.")
    return found


def format_size(count: int) -> str:
    """``16 MiB``, ``1.5 KiB``, ``12 bytes``."""
    unit = "bytes" if count != 1 else "byte"
    amount = float(count)
    for name in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, name
    return f"{count} {unit}" if unit.startswith("byte") else f"{amount:.4g} {unit}"


def round_up(count: int, step: int) -> str:
    """``320MiB``: bytes rounded up to a multiple of ``step``, as one writes them: in the largest unit that fits."""
    rounded = max(1, -(-count // step)) * step
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if rounded % SIZE_UNITS[unit] == 0:
            return f"{rounded // SIZE_UNITS[unit]}{unit}"
    return str(rounded)


def format_duration(seconds: int) -> str:
    """``2 hours``, ``90 minutes``, ``1 day``: the largest unit that needs no fraction."""
    for unit in ("d", "h", "m", "s"):
        if seconds % _SECONDS[unit] == 0 and seconds >= _SECONDS[unit]:
            count = seconds // _SECONDS[unit]
            return f"{count} {_WORDS[unit]}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def parse_time(text: str, what: str) -> datetime.datetime:
    """An aware time of RFC 3339 text with ``Z`` or an offset, or the last second of a day in UTC.

    ``what`` names the text in errors. Raises InputError, also for a time without a zone: it would mean another moment
    on another machine.
    """
    typed = text.strip().upper()
    if (found := _MOMENT.match(typed)) is None:
        raise InputError(
            f"{what} is not a day or a time: {text!r}.",
            hint="Write a day (2026-01-31), a time in UTC (2026-01-31T12:00:00Z) or one with its offset "
            "(2026-01-31T12:00:00+02:00).",
        )
    if found["clock"] and not found["zone"]:
        raise InputError(
            f"{what} has no time zone: {text!r}.",
            hint=f"Write {text.strip()}Z for UTC, or add an offset such as +02:00.",
        )
    try:
        if not found["clock"]:
            return datetime.datetime.fromisoformat(f"{typed}T23:59:59+00:00")
        return datetime.datetime.fromisoformat(typed.replace(" ", "T", 1).replace(" ", ""))
    except ValueError as error:
        raise InputError(f"{what} is not a day or a time: {error}.") from error


def local_time(moment: datetime.datetime) -> str:
    """An aware time in the reader's time zone, with its offset from UTC; as it is, if no time there has its year."""
    try:
        shown = moment.astimezone()
    except OverflowError:  # the first or last day that Python knows, from a peer
        shown = moment
    return shown.isoformat(sep=" ", timespec="seconds")
