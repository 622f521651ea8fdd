"""Read the members of a large JSON object one after the other: Debian's file has more than 50 MB."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cloister import userfile
from image.audit.errors import DataError

_CHUNK = 1 << 20
_LARGEST_MEMBER = 1 << 26
_SPACE = " \t\r\n"


def members(path: Path, what: str) -> Iterator[tuple[str, Any]]:
    """The members of the object in the file, in its order, without keeping them. Raises DataError."""
    try:
        with userfile.open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8") as text:
            yield from _Reader(text, path, what).members()
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8
        raise DataError(f"{path} is not {what}: {error}.") from error


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, as ``object_pairs_hook``. Raises ValueError for a member that is there twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice[:80]!r} is there twice")
    return made


class _Reader:
    """A window on the text: what follows ``at`` in ``window`` is not read yet."""

    def __init__(self, text: io.TextIOBase, path: Path, what: str) -> None:
        self.text, self.path, self.what = text, path, what
        self.window, self.at, self.ended = "", 0, False
        self.decoder = json.JSONDecoder(object_pairs_hook=once)

    def members(self) -> Iterator[tuple[str, Any]]:
        self.expect("{")
        if self.peek() == "}":
            self.expect("}")
        else:
            seen: set[str] = set()
            while True:
                key = self.value()
                if not isinstance(key, str) or key in seen:
                    raise self.not_an_object(
                        f"the name of a member is {'there twice' if key in seen else 'not a text'}"
                    )
                seen.add(key)
                self.expect(":")
                yield key, self.value()
                if self.peek() != ",":
                    break
                self.expect(",")
            self.expect("}")
        if self.peek():
            raise self.not_an_object("text follows the object")

    def more(self) -> bool:
        """Read as much again as the window holds; False at the end."""
        rest = self.window[self.at :]
        chunk = "" if self.ended else self.text.read(max(_CHUNK, len(rest)))
        self.ended = not chunk
        self.window, self.at = rest + chunk, 0
        if len(self.window) > 2 * _LARGEST_MEMBER:
            raise self.not_an_object(f"a member has more than {_LARGEST_MEMBER} characters")
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is not a space; empty at the end."""
        while True:
            while self.at < len(self.window) and self.window[self.at] in _SPACE:
                self.at += 1
            if self.at < len(self.window):
                return self.window[self.at]
            if not self.more():
                return ""

    def expect(self, wanted: str) -> None:
        found = self.peek()
        if found != wanted:
            raise self.not_an_object(f"expected {wanted}, found {found or 'its end'}")
        self.at += 1

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.window, self.at)
            except json.JSONDecodeError as error:
                if not self.more():
                    raise self.not_an_object(f"{error.msg}") from error
                continue
            # A number goes on where the window ends.
            if end == len(self.window) and self.more():
                continue
            self.at = end
            return value

    def not_an_object(self, said: str) -> DataError:
        return DataError(f"{self.path} is not {self.what}: {said}.")
