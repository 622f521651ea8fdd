"""Strict reading of a TOML table: each key is taken once with its type, and what is left over is an error."""

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from cloister.errors import InputError

T = TypeVar("T")
_REQUIRED = object()


class RecipeError(InputError):
    """A recipe has a key that is unknown, absent or of the wrong type."""

    remedy = "Correct the recipe in image/recipes."


class Table:
    """A TOML table with the name that its keys have in messages, such as ``base.toml: kernel``."""

    def __init__(self, value: Mapping[str, Any], name: str) -> None:
        self._left = dict(value)
        self._name = name

    @overload
    def take(self, key: str, kind: type[T]) -> T: ...
    @overload
    def take(self, key: str, kind: type[T], default: T) -> T: ...
    def take(self, key: str, kind: type[Any], default: Any = _REQUIRED) -> Any:
        """The value of ``key``; raises RecipeError when it is absent without a default, or no ``kind``."""
        value = self._left.pop(key, default)
        if value is _REQUIRED:
            raise RecipeError(f"{self._name} lacks the key {key!r}.")
        # True is an int for Python, not for the reader of a recipe.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RecipeError(f"{self._name}: {key!r} must be of type {kind.__name__}, not {value!r}.")
        return value

    def texts(self, key: str, default: list[str] | None = None) -> tuple[str, ...]:
        """A list of texts without repetition, in the order of the file."""
        values = self.take(key, list) if default is None else self.take(key, list, default)
        for value in values:
            if not isinstance(value, str):
                raise RecipeError(f"{self._name}: {key!r} must hold texts, not {value!r}.")
            if values.count(value) > 1:
                raise RecipeError(f"{self._name}: {key!r} names {value!r} twice.")
        return tuple(values)

    def named(self, key: str) -> dict[str, str]:
        """A table of texts, empty when absent, in sorted order."""
        values = self.take(key, dict, {})
        for name, value in values.items():
            if not isinstance(value, str):
                raise RecipeError(f"{self._name}: {key}.{name} must be a text, not {value!r}.")
        return dict(sorted(values.items()))

    def lists(self, key: str) -> dict[str, tuple[str, ...]]:
        """A table of lists of texts, empty when absent, in sorted order."""
        value = self.take(key, dict, {})
        inner = Table(value, f"{self._name}: {key}")
        return {name: inner.texts(name) for name in sorted(value)}

    def table(self, key: str) -> "Table":
        return Table(self.take(key, dict), f"{self._name}: {key}")

    def tables(self, key: str) -> list["Table"]:
        """An array of tables (``[[key]]``), empty when absent."""
        values = self.take(key, list, [])
        for value in values:
            if not isinstance(value, dict):
                raise RecipeError(f"{self._name}: {key!r} must be an array of tables.")
        return [Table(value, f"{self._name}: {key}[{index}]") for index, value in enumerate(values)]

    def done(self) -> None:
        """Raises RecipeError when a key is left that nobody took."""
        if self._left:
            raise RecipeError(f"{self._name} has the unknown key {min(self._left)!r}.")
