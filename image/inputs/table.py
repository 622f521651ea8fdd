"""Read a TOML table strictly: every key is taken once with its type, and a key that is left over is an error."""

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from cloister.errors import InputError

T = TypeVar("T")
_REQUIRED = object()


class RecipeError(InputError):
    """A recipe has a key that is unknown, missing or of the wrong type."""

    remedy = "Correct the recipe, then run the command again."


class Table:
    """A TOML table and its name in messages, such as ``base.toml: kernel``."""

    def __init__(self, value: Mapping[str, Any], name: str) -> None:
        self._left = dict(value)
        self._name = name

    @overload
    def take(self, key: str, kind: type[T]) -> T: ...
    @overload
    def take(self, key: str, kind: type[T], default: T) -> T: ...
    def take(self, key: str, kind: type[Any], default: Any = _REQUIRED) -> Any:
        """The value of ``key``. Raises RecipeError when it is missing without a default, or not of type ``kind``."""
        value = self._left.pop(key, default)
        if value is _REQUIRED:
            raise RecipeError(f"{self._name}: the key {key!r} is missing.")
        # bool is a subclass of int in Python.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RecipeError(f"{self._name}: {key!r} must be of type {kind.__name__}, not {value!r}.")
        return value

    def peek(self, key: str) -> str:
        """The value of ``key`` if it is a string, else "". It is still to be taken."""
        value = self._left.get(key)
        return value if isinstance(value, str) else ""

    def strings(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of distinct strings, in the order of the file."""
        values = self.take(key, list) if default is None else self.take(key, list, default)
        for value in values:
            if not isinstance(value, str):
                raise RecipeError(f"{self._name}: {key!r} must contain strings, not {value!r}.")
            if values.count(value) > 1:
                raise RecipeError(f"{self._name}: {key!r} contains {value!r} twice.")
        return tuple(values)

    def string_table(self, key: str) -> dict[str, str]:
        """A table of strings, sorted by key; empty when missing."""
        values = self.take(key, dict, {})
        for name, value in values.items():
            if not isinstance(value, str):
                raise RecipeError(f"{self._name}: {key}.{name} must be a string, not {value!r}.")
        return dict(sorted(values.items()))

    def list_table(self, key: str) -> dict[str, tuple[str, ...]]:
        """A table of lists of strings, sorted by key; empty when missing."""
        value = self.take(key, dict, {})
        inner = Table(value, f"{self._name}: {key}")
        return {name: inner.strings(name) for name in sorted(value)}

    def table(self, key: str) -> "Table":
        return Table(self.take(key, dict), f"{self._name}: {key}")

    def tables(self, key: str) -> list["Table"]:
        """An array of tables (``[[key]]``); empty when missing."""
        values = self.take(key, list, [])
        for value in values:
            if not isinstance(value, dict):
                raise RecipeError(f"{self._name}: {key!r} must be an array of tables.")
        return [Table(value, f"{self._name}: {key}[{index}]") for index, value in enumerate(values)]

    def reject_unknown(self) -> None:
        """Raise RecipeError if a key was not taken."""
        if self._left:
            raise RecipeError(f"{self._name} has the unknown key {min(self._left)!r}.")
