"""Sizes and durations as people write and read them: ``16MiB``, ``24h``."""

import re

from cloister.errors import InputError

_SIZES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WORDS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
_QUANTITY = re.compile(r"([0-9]{1,15})\s*([A-Za-z]+)\Z")


def parse_size(text: str | int) -> int:
    """Bytes of ``16MiB``, ``64 KiB``, ``123``. Raises InputError."""
    return _parse(text, _SIZES, "a size", "16MiB")


def parse_duration(text: str | int) -> int:
    """Seconds of ``24h``, ``90m``, ``30``. Raises InputError."""
    return _parse(text, _SECONDS, "a duration", "24h")


def _parse(text: str | int, units: dict[str, int], what: str, example: str) -> int:
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    found = _QUANTITY.match(text) if isinstance(text, str) else None
    if found is None or found[2] not in units:
        names = ", ".join(units)
        raise InputError(f"{text!r} is not {what}.", hint=f"Write {example!r}; the units are {names}.")
    return int(found[1]) * units[found[2]]


def size(count: int) -> str:
    """``16 MiB``, ``1.5 KiB``, ``12 bytes``."""
    unit = "bytes" if count != 1 else "byte"
    amount = float(count)
    for name in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, name
    return f"{count} {unit}" if unit.startswith("byte") else f"{amount:.4g} {unit}"


def duration(seconds: int) -> str:
    """``2 hours``, ``90 minutes``, ``1 day``: the largest unit that needs no fraction."""
    for unit in ("d", "h", "m", "s"):
        if seconds % _SECONDS[unit] == 0 and seconds >= _SECONDS[unit]:
            count = seconds // _SECONDS[unit]
            return f"{count} {_WORDS[unit]}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"
