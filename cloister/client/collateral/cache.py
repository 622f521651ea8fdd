"""Collateral on disk: fetched once, used until it expires, never longer.

``$XDG_CACHE_HOME/cloister/collateral/`` has one file for each address. What does not expire (a VCEK, whose key
belongs to one chip and one TCB) is kept for good; a CRL, TCB info or identity is ignored from its nextUpdate on.
A damaged entry is ignored, too: the cache may cost an extra request, never give a wrong answer.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from cloister import usercache
from cloister.attestation.collateral_source import COLLATERAL_KINDS, CollateralItem
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

_ENTRY = re.compile("[0-9a-f]{64}")
_MAX_ENTRIES = 4096
_MAX_ENTRY = 4 * 1024 * 1024
_WHAT = "A cached answer"


@dataclass(frozen=True)
class Entry:
    """An answer received at the time ``fetched``, usable until ``until`` (aware; None: does not expire)."""

    items: tuple[CollateralItem, ...]
    fetched: datetime
    until: datetime | None

    def usable_at(self, now: datetime) -> bool:
        """Return whether the entry has not expired at ``now``."""
        return self.until is None or now < self.until

    def encode(self, address: str) -> bytes:
        """The file: the digest of the rest and a newline, then canonical JSON."""
        value: dict[str, Any] = {
            "version": 1,
            "address": address,
            "fetched": canonical.to_time(self.fetched),
            "items": [{"kind": item.kind, "content": canonical.to_base64(item.content)} for item in self.items],
        }
        if self.until is not None:
            value["until"] = canonical.to_time(self.until)
        body = canonical.encode(value)
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    @classmethod
    def parse(cls, data: bytes, address: str) -> Self:
        """Raises FormatError for anything that ``encode`` did not write for this address."""
        digest, _, body = data.partition(b"\n")
        if digest != hashlib.sha256(body).hexdigest().encode():
            raise FormatError(f"{_WHAT} was truncated or changed.")
        value = canonical.parse_canonical(body, what=_WHAT, limit=_MAX_ENTRY)
        try:
            if value["version"] != 1 or value["address"] != address:
                raise FormatError(f"{_WHAT} is for something else.")
            items = tuple(
                CollateralItem(item["kind"], canonical.from_base64(item["content"], what=_WHAT))
                for item in value["items"]
            )
            until = value.get("until")
            entry = cls(
                items,
                canonical.from_time(value["fetched"], what=_WHAT),
                None if until is None else canonical.from_time(until, what=_WHAT),
            )
        except (KeyError, TypeError) as error:
            raise FormatError(f"{_WHAT} lacks a member.") from error
        if any(item.kind not in COLLATERAL_KINDS for item in entry.items):
            raise FormatError(f"{_WHAT} has an item of an unknown kind.")
        return entry


class Cache:
    """The folder of one user. Several processes may use it at once: files appear whole or not at all."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def get(self, address: str, now: datetime) -> Entry | None:
        """The usable answer of ``address``, or None."""
        path = self._path(address)
        try:
            with path.open("rb") as file:
                entry = Entry.parse(file.read(_MAX_ENTRY + 1), address)
        except (OSError, FormatError):
            return None
        return entry if entry.usable_at(now) else None

    def all(self, now: datetime) -> Iterator[tuple[str, Entry]]:
        """Every usable answer with its address, in the order of the addresses' digests."""
        try:
            paths = sorted(path for path in self.folder.iterdir() if _ENTRY.fullmatch(path.name))[:_MAX_ENTRIES]
        except OSError:
            return
        for path in paths:
            try:
                with path.open("rb") as file:
                    data = file.read(_MAX_ENTRY + 1)
                value = canonical.parse_canonical(data.partition(b"\n")[2], what=_WHAT, limit=_MAX_ENTRY)
                address = str(value["address"])
                entry = Entry.parse(data, address)
            except (OSError, FormatError, KeyError, TypeError):
                continue
            if path == self._path(address) and entry.usable_at(now):
                yield address, entry

    def put(self, address: str, entry: Entry) -> None:
        """Keep an answer. On a full or read-only disk the answer is not cached, without an error."""
        path = self._path(address)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        with contextlib.suppress(OSError):
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                part.write_bytes(entry.encode(address))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _path(self, address: str) -> Path:
        return self.folder / hashlib.sha256(address.encode()).hexdigest()


def default_folder() -> Path:
    """``collateral`` in the user's cache."""
    return usercache.root() / "collateral"


def earliest(ends: Sequence[datetime | None]) -> datetime | None:
    """The earliest of several expiry times; None when nothing expires."""
    return min((end for end in ends if end is not None), default=None)
