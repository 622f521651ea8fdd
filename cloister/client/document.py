"""YAML or JSON that people write, with the line of every value, so that an error can name it.

The YAML is the plain part of 1.2: ``true``, ``false``, ``null`` and whole numbers mean what they say, everything else
is text (``no`` is a word and ``1_000`` is not a number); no tags, no anchors, no second document.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from yaml.composer import ComposerError

from cloister.errors import InputError
from cloister.protocol.canonical import FormatError

MAX_SIZE = 1024 * 1024
_MAX_DEPTH = 32
_INTEGER = re.compile(r"(0|-?[1-9][0-9]{0,15})\Z")

Place = tuple[str | int, ...]
"""Names and positions on the way from the document's top to a value."""


@dataclass(frozen=True)
class Document:
    """What a file says, and on which line (counted from 1) each value stands."""

    path: Path
    value: Any
    lines: Mapping[Place, int]

    @classmethod
    def read(cls, path: Path) -> Self:
        """The document at ``path``. Raises InputError that names the line."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        if len(data) > MAX_SIZE:
            raise InputError(f"{path} has {len(data)} bytes; at most {MAX_SIZE} are allowed.")
        return cls.parse(path, data)

    @classmethod
    def parse(cls, path: Path, data: bytes) -> Self:
        """The document ``data``; ``path`` names it in errors. Raises InputError that names the line."""
        try:
            node = _Loader(data.decode("utf-8")).get_single_node()
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 (byte {error.start}).") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{path}:{mark.line + 1}" if mark else str(path)
            raise InputError(f"{where}: {error.problem or error.context}.") from error
        except yaml.YAMLError as error:
            raise InputError(f"{path} has characters that YAML does not allow.") from error
        if node is None:
            raise InputError(f"{path} is empty.")
        lines: dict[Place, int] = {}
        return cls(path, _value(path, node, (), lines), lines)

    def line(self, place: Sequence[str | int]) -> int:
        """The line of the value at ``place``, or of the nearest one around it."""
        known = tuple(place)
        while known not in self.lines:
            known = known[:-1]
        return self.lines[known]

    def error(self, place: Sequence[str | int], problem: str, hint: str = "") -> InputError:
        """An error about the value at ``place``: file, line, place and what is wrong."""
        name = ".".join(str(part) for part in place)
        return FormatError(f"{self.path}:{self.line(place)}: {name + ': ' if name else ''}{problem}", hint=hint)


class _Loader(yaml.SafeLoader):
    """Composes nodes without aliases: a few lines of those can stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise ComposerError(None, None, "anchors and aliases are not allowed", event.start_mark)
        return super().compose_node(parent, index)


def _value(path: Path, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    line = node.start_mark.line + 1
    lines[place] = line
    if len(place) > _MAX_DEPTH:
        raise InputError(f"{path}:{line}: nested more than {_MAX_DEPTH} levels deep.")
    if isinstance(node, yaml.MappingNode):
        members: dict[str, Any] = {}
        for key, content in node.value:
            where = f"{path}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{where}: a name must be plain text.")
            if key.value in members:
                raise InputError(f"{where}: {key.value!r} stands here twice.")
            members[key.value] = _value(path, content, (*place, key.value), lines)
            # An empty or nested value is found by its name, not by where its first member stands.
            lines[(*place, key.value)] = key.start_mark.line + 1
        return members
    if isinstance(node, yaml.SequenceNode):
        return [_value(path, content, (*place, index), lines) for index, content in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "~", "null"):
        return None
    return int(text) if _INTEGER.match(text) else text
