"""The file of a history: lines in canonical JSON, each with the digest of the previous one, and a head beside it.

The chain shows that a line was changed, the head that lines were cut off. Against someone who may write to the folder
as the user may, nothing of this helps: who can do that can also replace the client.
"""

import datetime
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cloister.client.files import state
from cloister.client.history.entry import Accepted, AcceptedHow, HistoryEntry
from cloister.errors import InputError
from cloister.protocol import canonical, schema
from cloister.protocol.canonical import FormatError

MAX_LOG = 16 * 1024 * 1024
_MAX_LINE = 4096
_MAX_HEAD = 1024
_FIRST = "0" * 64
SUFFIX = ".jsonl"


class HistoryLog:
    """A log that is read whole, and appended to. ``entries`` are its lines, once :meth:`load` has verified them."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self.entries: list[HistoryEntry] = []
        self._size = 0

    @property
    def head(self) -> str:
        """The digest of the last line, hex; zeros without one."""
        return self.entries[-1].digest() if self.entries else _FIRST

    def load(self) -> None:
        """Read and verify the file. Raises InputError when it was changed or cut, or cannot be read."""
        data = state.read(self.at, MAX_LOG)
        count, head = self._read_head()
        if data is None and count:
            raise self._damaged(f"it is missing, and had {count} lines")
        data = data or b""
        if len(data) > MAX_LOG:
            raise self._full()
        entries: list[HistoryEntry] = []
        size = 0
        for line in data.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # a command that was killed, or a full disk: the next one writes over it
            entries.append(self._entry(line, entries))
            size += len(line)
        # The head follows the line: only the last line may be without its head.
        if len(entries) < count:
            raise self._damaged(f"it has {len(entries)} lines, and had {count}")
        if len(entries) > count + 1 or (count and entries[count - 1].digest() != head):
            raise self._damaged("its last lines are not the ones that this client wrote")
        self.entries, self._size = entries, size

    def append(self, accepted: Iterable[tuple[Accepted, AcceptedHow]]) -> None:
        """Append lines; the caller has the lock and has loaded the file. Raises InputError."""
        for one, how in accepted:
            before = self.last(one)
            entry = HistoryEntry(
                len(self.entries),
                self.head,
                canonical.to_time(datetime.datetime.now(datetime.UTC)),
                how,
                one,
                before.digest if before else "",
            )
            line = canonical.encode(entry.value()) + b"\n"
            if self._size + len(line) > MAX_LOG:
                raise self._full()
            try:
                self._write(line)
            except OSError as error:
                raise state.unwritable(self.at, error) from error
            self.entries.append(entry)
            self._size += len(line)
            head = canonical.encode({"count": len(self.entries), "digest": entry.digest()})
            state.write(self._head_at, head)

    def last(self, like: Accepted) -> Accepted | None:
        """What was accepted last of this kind and subject."""
        return next((one.accepted for one in reversed(self.entries) if one.accepted.place == like.place), None)

    def knows_terms(self, of: Accepted) -> bool:
        """Whether something that decides the same was accepted before, of this kind and subject."""
        return any(one.accepted.place == of.place and one.accepted.terms == of.terms for one in self.entries)

    def _write(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.at, flags, 0o600)
        try:
            os.ftruncate(descriptor, self._size)
            written = os.pwrite(descriptor, line, self._size)
            if written != len(line):
                written += os.pwrite(descriptor, line[written:], self._size + written)  # says why it does not fit
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @property
    def _head_at(self) -> Path:
        return self.at.with_suffix(".head")

    def _read_head(self) -> tuple[int, str]:
        data = state.read(self._head_at, _MAX_HEAD)
        if data is None:
            return 0, _FIRST
        try:
            value = canonical.parse_canonical(data, what="The head", limit=_MAX_HEAD)
            schema.validate("client/history-head", value, what="The head")
        except FormatError as error:
            raise self._damaged(f"its head is invalid ({error.message})") from error
        return value["count"], value["digest"]

    def _entry(self, line: bytes, before: Sequence[HistoryEntry]) -> HistoryEntry:
        what = f"line {len(before) + 1}"
        try:
            value: Any = canonical.parse_canonical(line[:-1], what=what, limit=_MAX_LINE)
            schema.validate("client/history-entry", value, what=what)
        except FormatError as error:
            raise self._damaged(f"{what} is invalid ({error.message})") from error
        entry = HistoryEntry.from_value(value)
        previous = before[-1].digest() if before else _FIRST
        if entry.sequence != len(before) or entry.previous != previous:
            raise self._damaged(f"{what} does not follow the line before it")
        return entry

    def _damaged(self, why: str) -> InputError:
        return InputError(
            f"The history {self.at} was changed: {why}.",
            hint=f"Find out who changed it. To go on without it, move it and {self._head_at.name} away: everything "
            "then counts as accepted for the first time.",
        )

    def _full(self) -> InputError:
        return InputError(
            f"The history {self.at} has reached its largest size, {MAX_LOG} bytes.",
            hint=f"Move it and {self._head_at.name} to an archive: a new one is begun.",
        )
