"""The members of a JSON object in another tool's format: each must be known, and has one form."""

from collections.abc import Mapping
from typing import Any, Self

from cloister.client.evidence.evidence_files import encoding
from cloister.client.evidence.evidence_files.source import EvidenceFile

_SHOWN = 40


class WrapperMembers:
    """An object of ``source``. ``where`` is the path to it in the document, empty for the document itself."""

    def __init__(self, value: Mapping[str, Any], source: EvidenceFile, where: str = "") -> None:
        self.value = value
        self.source = source
        self._where = where

    def __contains__(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self.value.get(name) is not None

    def like(self, looks: str) -> Self:
        """The same object, recognised."""
        return type(self)(self.value, self.source.like(looks), self._where)

    def only(self, *names: str) -> None:
        """Raises InputError for a member that is not among ``names``: it may be a second piece of evidence."""
        for name in self.value:
            if name not in names:
                raise self.source.refuse(
                    f"it has the unknown member {self._name(name)}; known are {', '.join(names)}",
                    "Remove the member if it does not matter, or pass the report or quote alone, as bytes or hex.",
                )

    def binary(self, name: str, limit: int = encoding.MAX_DECODED) -> bytes:
        """The bytes of a member. Raises InputError, FormatError."""
        return encoding.from_value(self._required(name), self._what(name), limit)

    def optional(self, name: str, limit: int = encoding.MAX_DECODED) -> bytes | None:
        """The bytes of a member; None if it is absent, null or empty."""
        return self.binary(name, limit) if self.value.get(name) not in (None, "", []) else None

    def text(self, name: str) -> str:
        """A member that is text. Raises InputError."""
        value = self._required(name)
        if not isinstance(value, str):
            raise self._wrong(name, "is not text")
        return value

    def unsigned(self, name: str, size: int) -> int:
        """A member that is a number of at most ``size`` bytes. Raises InputError."""
        value = self._required(name)
        if type(value) is not int or not 0 <= value < 1 << 8 * size:
            raise self._wrong(name, f"is not a number of at most {size} bytes")
        return value

    def object(self, name: str) -> "WrapperMembers":
        """A member that is an object. Raises InputError."""
        value = self._required(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "is not an object")
        return WrapperMembers(value, self.source, self._path(name))

    def items(self, name: str, most: int) -> list[Any]:
        """A member that is a list of at most ``most`` items. Raises InputError."""
        value = self._required(name)
        if not isinstance(value, list) or len(value) > most:
            raise self._wrong(name, f"is not a list of at most {most} items")
        return value

    def _required(self, name: str) -> Any:
        if name not in self:
            raise self._wrong(name, "is absent")
        return self.value[name]

    def _wrong(self, name: str, problem: str) -> Exception:
        return self.source.refuse(
            f"its member {self._name(name)} {problem}", "Get the file again from the tool that wrote it."
        )

    def _what(self, name: str) -> str:
        return f"The member {self._name(name)}"

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def _name(self, name: str) -> str:
        path = self._path(name)
        return repr(path if len(path) <= _SHOWN else f"{path[:_SHOWN]}...")
