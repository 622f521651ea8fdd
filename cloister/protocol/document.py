"""YAML written by people, with the line of every value for error messages.

A subset of YAML 1.2 that includes JSON: ``true``, ``false``, ``null`` and integers have their usual meaning, everything
else is text (``no`` and ``1_000``, too). Fractions, tags, anchors, aliases, duplicate names and a second document are
rejected.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import yaml
from yaml.composer import ComposerError

from cloister.errors import InputError
from cloister.protocol.canonical import FormatError
from cloister.protocol.text import decimal

MAX_SIZE = 1024 * 1024
_MAX_DEPTH = 32
_INTEGER = re.compile(r"(0|-?[1-9][0-9]{0,15})\Z")
_FRACTION = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?\Z|[-+]?\.(inf|nan)\Z", re.I)

Place = tuple[str | int, ...]
"""The names and list positions that lead from the top of a document to a value."""


def place_of(parts: Iterable[str | int]) -> Place:
    """A place from the words of a message or a validator, where positions in lists may be text."""
    found = ((decimal(part, 9) if isinstance(part, str) else None, part) for part in parts)
    return tuple(part if number is None else number for number, part in found)


@dataclass(frozen=True)
class Document:
    """The value of a text, and the line (from 1) of each value in it. ``name`` names the document in errors."""

    name: str
    value: Any
    lines: Mapping[Place, int]

    @classmethod
    def parse(cls, name: str, data: bytes) -> Self:
        """The document ``data`` of at most 1 MiB. Raises FormatError that names the line."""
        if len(data) > MAX_SIZE:
            raise FormatError(f"{name} has more than {MAX_SIZE} bytes.")
        try:
            node = _Loader(data.decode("utf-8")).get_single_node()
        except UnicodeDecodeError as error:
            raise FormatError(f"{name} is not UTF-8 (byte {error.start}).") from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{name}:{mark.line + 1}" if mark else name
            hint = "Put text with characters that mean something in YAML in quotes, such as : # [ ] { } , & * ! | > %."
            raise FormatError(f"{where}: {error.problem or error.context}.", hint=hint) from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML does not catch the errors of chr()
            raise FormatError(f"{name} has characters that YAML does not allow.") from error
        if node is None:
            raise FormatError(f"{name} is empty.")
        lines: dict[Place, int] = {}
        return cls(name, _value(name, node, (), lines), lines)

    def line(self, place: Sequence[str | int]) -> int:
        """The line of the value at ``place``, or of the nearest enclosing one."""
        known = tuple(place)
        while known not in self.lines:
            known = known[:-1]
        return self.lines[known]

    def error(self, place: Sequence[str | int], problem: str, hint: str = "") -> InputError:
        """An error about the value at ``place``: document, line, place and what is wrong."""
        member = ".".join(str(part) for part in place)
        return FormatError(f"{self.name}:{self.line(place)}: {member + ': ' if member else ''}{problem}", hint=hint)


class _Loader(yaml.SafeLoader):
    """Composes nodes; rejects aliases (a few lines can expand to gigabytes), tags and deep nesting."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise ComposerError(None, None, "anchors and aliases are not allowed", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise ComposerError(None, None, "tags are not allowed", event.start_mark)
        if self._depth > _MAX_DEPTH:
            raise ComposerError(None, None, f"nested more than {_MAX_DEPTH} levels deep", event.start_mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _value(document: str, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    line = node.start_mark.line + 1
    lines[place] = line
    if isinstance(node, yaml.MappingNode):
        members: dict[str, Any] = {}
        for key, content in node.value:
            where = f"{document}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode):
                raise FormatError(f"{where}: a name must be plain text.")
            name = _text(where, key)
            if name in members:
                raise FormatError(f"{where}: duplicate name {name!r}.")
            members[name] = _value(document, content, (*place, name), lines)
            # The line of a member is that of its name: the value may be empty or begin on a later line.
            lines[(*place, name)] = key.start_mark.line + 1
        return members
    if isinstance(node, yaml.SequenceNode):
        return [_value(document, content, (*place, index), lines) for index, content in enumerate(node.value)]
    return _scalar(f"{document}:{line}", node)


def _scalar(where: str, node: yaml.Node) -> Any:
    text = _text(where, node)
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "~", "null"):
        return None
    if _FRACTION.match(text):
        raise FormatError(f"{where}: {text[:24]} is not an integer; put text that looks like a number in quotes.")
    return int(text) if _INTEGER.match(text) else text


def _text(where: str, node: yaml.Node) -> str:
    text = str(node.value)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise FormatError(f"{where}: the text contains an unpaired surrogate.")
    return text
