"""A cursor over untrusted bytes: every read has a length and a name, and none passes the end."""

from typing import Literal, Self

from cloister.attestation.errors import MalformedEvidence


class Reader:
    """Reads ``data`` from the front. ``name`` is the structure's name for error messages."""

    def __init__(self, data: bytes, name: str, order: Literal["big", "little"] = "big") -> None:
        self._data = data
        self._name = name
        self._order: Literal["big", "little"] = order
        self.offset = 0

    @property
    def remaining(self) -> int:
        """Bytes not yet read."""
        return len(self._data) - self.offset

    def malformed(self, field: str, reason: str, offset: int | None = None) -> MalformedEvidence:
        """The error for ``field``, at ``offset`` or at the cursor."""
        return MalformedEvidence(f"{self._name}.{field}", self.offset if offset is None else offset, reason)

    def take(self, size: int, field: str) -> bytes:
        """The next ``size`` bytes."""
        start = self.offset
        end = start + size
        if end > len(self._data):
            raise self.malformed(field, f"needs {size} bytes, {self.remaining} are left")
        self.offset = end
        return self._data[start:end]

    def unsigned(self, size: int, field: str) -> int:
        """The next unsigned integer of ``size`` bytes."""
        return int.from_bytes(self.take(size, field), self._order)

    def sized(self, prefix: int, limit: int, field: str) -> bytes:
        """A byte string of at most ``limit`` bytes after its length, which has ``prefix`` bytes."""
        start = self.offset
        size = self.unsigned(prefix, f"{field}.size")
        if size > limit:
            raise self.malformed(field, f"claims {size} bytes, at most {limit} are allowed", start)
        return self.take(size, field)

    def part(self, size: int, field: str) -> Self:
        """A reader of the next ``size`` bytes; its errors name them as a part of this structure."""
        return type(self)(self.take(size, field), f"{self._name}.{field}", self._order)

    def end(self) -> None:
        """Raises MalformedEvidence if bytes follow."""
        if self.remaining:
            raise self.malformed("end", f"{self.remaining} bytes follow the structure")
