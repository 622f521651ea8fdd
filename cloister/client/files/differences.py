"""The differences between two JSON documents: every value by its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloister.protocol import canonical, text

_SHOWN = 120


@dataclass(frozen=True)
class ValueDifference:
    """A place, such as ``algorithm.args.1``, and its value in each document as text: ``nothing`` where it has none."""

    place: str
    before: str
    after: str


def differences(before: Any, after: Any) -> Iterator[ValueDifference]:
    """Every place whose values differ, sorted."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    for place in sorted(old.keys() | new.keys()):
        if place not in old or place not in new or not _same(old[place], new[place]):
            yield ValueDifference(text.printable(place), _shown(old, place), _shown(new, place))


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its place. An empty object or list is a value, too."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}.{index}")
    else:
        yield place, value


def _same(one: Any, other: Any) -> bool:
    # In Python, true is 1.
    return type(one) is type(other) and one == other


def _shown(values: Mapping[str, Any], place: str) -> str:
    if place not in values:
        return "nothing"
    said = canonical.encode(values[place]).decode()
    return text.printable(said if len(said) <= _SHOWN else f"{said[:_SHOWN]}...")
