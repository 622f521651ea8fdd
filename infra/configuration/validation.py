"""Reads a configuration and collects its errors, so that all are reported together."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cloister.errors import InputError

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
"""Names of workspaces, members, CVMs and stacks."""

_MOST_ENTRIES = 256

T = TypeVar("T")


class ConfigurationError(InputError):
    """The configuration of ``what`` (workspace, registry) is invalid. The message lists every problem with the path of
    its key.
    """

    remedy = "Correct these values in the configuration of the stack, then run the command again."

    def __init__(self, what: str, name: str, problems: tuple[str, ...], *, hint: str = "") -> None:
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"The configuration of {what} {name!r} is invalid:{lines}", hint=hint)
        self.problems = problems


class Validator:
    """Each method reads one value. If it is invalid, the method records why and returns a harmless value."""

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
                self.add(f"{path}.{key}", f"unknown key; known keys: {', '.join(required + optional)}.")
        for key in required:
            # An empty value in YAML is null, which counts as missing.
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
            self.add(path, f"{len(value)} entries; at most {_MOST_ENTRIES} are allowed.")
            return []
        return [(f"{path}[{number}]", entry) for number, entry in enumerate(value)]

    def string(self, fields: Mapping[str, Any], key: str, path: str) -> str:
        value = fields.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            self.add(path, f"must be a non-empty string, not {value!r}.")
        return value if isinstance(value, str) else ""

    def matching(self, fields: Mapping[str, Any], key: str, path: str, pattern: re.Pattern[str], expected: str) -> str:
        """The string at ``key``; ``expected`` describes strings that match ``pattern``."""
        value = fields.get(key)
        if value is not None and not (isinstance(value, str) and pattern.match(value)):
            self.add(f"{path}.{key}", f"must be {expected}, not {value!r}.")
        return value if isinstance(value, str) else ""

    def boolean(self, fields: Mapping[str, Any], key: str, path: str) -> bool:
        value = fields.get(key)
        if value is None:
            return False
        if not isinstance(value, bool):
            self.add(path, f"must be true or false, not {value!r}.")
        return value is True

    def choice(self, fields: Mapping[str, Any], key: str, path: str, allowed: tuple[str, ...]) -> str:
        value = fields.get(key)
        if value is not None and value not in allowed:
            self.add(path, f"must be one of {', '.join(allowed)}, not {value!r}.")
        return value if isinstance(value, str) else ""

    def name(self, fields: Mapping[str, Any], path: str) -> str:
        value = fields.get("name")
        if value is not None and (not isinstance(value, str) or not NAME.match(value)):
            self.add(path, f"invalid name {value!r}; use lowercase letters, digits and '-', at most 63 characters.")
        return value if isinstance(value, str) else ""

    def integer(self, fields: Mapping[str, Any], key: str, path: str, *, default: int, allowed: range) -> int:
        value = fields.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            self.add(f"{path}.{key}", f"must be an integer from {allowed[0]} to {allowed[-1]}, not {value!r}.")
            return default
        return value

    def unique(self, values: list[str], path: str, key: str) -> None:
        for value in sorted({value for value in values if value and values.count(value) > 1}):
            shown = f"{key} {value!r}" if key != "key" else "public key"
            self.add(path, f"the same {shown} appears {values.count(value)} times.")
