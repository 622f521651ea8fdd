"""Collects what is wrong with a configuration, so that its author hears of everything at once."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cloister.errors import InputError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
"""Names of workspaces, members, CVMs and stacks."""

_MOST_ENTRIES = 256

T = TypeVar("T")


class ConfigurationError(InputError):
    """The configuration of ``what`` (workspace, registry) is wrong; the message lists every problem with the path
    of its key.
    """

    remedy = "Correct these values in the configuration of the stack, then run the command again."

    def __init__(self, what: str, name: str, problems: tuple[str, ...], *, hint: str = "") -> None:
        one = len(problems) == 1
        lines = "".join(f"\n  {problem}" for problem in problems)
        said = f"The configuration of {what} {name!r} has {'a problem' if one else 'problems'}:{lines}"
        super().__init__(said, hint=hint)
        self.problems = problems


class Validator:
    """Each method reads one thing; where it is wrong, it notes why and hands out a harmless value in its place."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def add(self, path: str, sentence: str) -> None:
        self.problems.append(f"{path}: {sentence}")

    def attempt(self, path: str, parse: Callable[[], T]) -> T | None:
        try:
            return parse()
        except InputError as error:
            self.add(path, error.message)
            return None

    def mapping(
        self, value: Any, path: str, *, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.add(path, f"must be a mapping with {', '.join(required)}.")
            return {}
        for key in value:
            if key not in required + optional:
                self.add(f"{path}.{key}", f"is not known; known are {', '.join(required + optional)}.")
        for key in required:
            # YAML's null, which an empty line makes, is nothing too.
            if value.get(key) is None:
                self.add(f"{path}.{key}", "is missing.")
        return value

    def entries(self, value: Any, path: str) -> list[tuple[str, Any]]:
        if value is None:
            return []
        if not isinstance(value, list) or not value:
            self.add(path, "must be a list with at least one entry.")
            return []
        if len(value) > _MOST_ENTRIES:
            self.add(path, f"has {len(value)} entries; {_MOST_ENTRIES} is the most.")
            return []
        return [(f"{path}[{number}]", entry) for number, entry in enumerate(value)]

    def string(self, fields: Mapping[str, Any], key: str, path: str) -> str:
        value = fields.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            self.add(path, f"{value!r} is not a text.")
        return value if isinstance(value, str) else ""

    def matching(self, fields: Mapping[str, Any], key: str, path: str, pattern: re.Pattern[str], otherwise: str) -> str:
        """The text at ``key``; ``otherwise`` says what a text that does not match is."""
        value = fields.get(key)
        if value is not None and not (isinstance(value, str) and pattern.match(value)):
            self.add(f"{path}.{key}", f"{value!r} is {otherwise}.")
        return value if isinstance(value, str) else ""

    def boolean(self, fields: Mapping[str, Any], key: str, path: str) -> bool:
        value = fields.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.add(path, f"{value!r} is neither true nor false.")
        return value is True

    def choice(self, fields: Mapping[str, Any], key: str, path: str, allowed: tuple[str, ...]) -> str:
        value = fields.get(key)
        if value is not None and value not in allowed:
            self.add(path, f"{value!r} is not one of {', '.join(allowed)}.")
        return value if isinstance(value, str) else ""

    def name(self, fields: Mapping[str, Any], path: str) -> str:
        value = fields.get("name")
        if value is not None and (not isinstance(value, str) or not NAME.match(value)):
            self.add(path, f"{value!r} is no name: lower-case letters, digits and '-', at most 63.")
        return value if isinstance(value, str) else ""

    def integer(self, fields: Mapping[str, Any], key: str, path: str, *, default: int, allowed: range) -> int:
        value = fields.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            self.add(f"{path}.{key}", f"{value!r} is not a whole number from {allowed[0]} to {allowed[-1]}.")
            return default
        return value

    def unique(self, values: list[str], path: str, key: str) -> None:
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            shown = f"{key} {value!r}" if key != "key" else "public key"
            self.add(path, f"the same {shown} appears {values.count(value)} times.")
