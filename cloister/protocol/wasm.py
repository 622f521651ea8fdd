"""What a WebAssembly module asks of its host: its imports, exports and memories.

WebAssembly Core Specification 2.0, chapter 5 "Binary Format"; the flags of memories also from the proposals threads,
memory64 and custom page sizes. Code is not looked at: the guest's wasmtime validates it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cloister.errors import InputError

MAGIC = b"\0asm"
_MODULE, _COMPONENT_LAYER = b"\1\0\0\0", b"\1\0"
_CUSTOM, _IMPORT, _MEMORY, _EXPORT, _TAG = 0, 2, 5, 7, 13
_FUNCTION, _TABLE, _MEMORIES, _GLOBAL, _TAGS = range(5)
_HAS_MAXIMUM, _SHARED, _WIDE, _PAGE_SIZE = 1, 2, 4, 8
_FEATURES = "target_features"
_MAX_SECTIONS = 100_000
_MAX_SECTION = 16 * 1024 * 1024
"""Bytes of a section that is read; code and data are not."""


class WasmError(InputError):
    """A file is not a WebAssembly module, or a malformed one."""


class NotAModule(WasmError):
    """A component, or another version of the binary format."""


@dataclass(frozen=True)
class WasmModule:
    """``imports`` are functions as (module, name); ``others`` are all other imports; ``exports`` are functions,
    ``memories`` the exported ones; ``flags`` those of every memory; ``features`` what its compiler was allowed to use.
    """

    imports: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, str], ...]
    exports: frozenset[str]
    memories: frozenset[str]
    flags: tuple[int, ...]
    has_tags: bool
    features: tuple[str, ...]

    @property
    def shares_memory(self) -> bool:
        """A memory is shared between threads."""
        return any(flag & _SHARED for flag in self.flags)

    @property
    def is_wide(self) -> bool:
        """A memory has addresses of 64 bits."""
        return any(flag & _WIDE for flag in self.flags)


def read_module(stream: BinaryIO) -> WasmModule:
    """Read a module at the beginning of ``stream``. Raises WasmError, NotAModule for a component, and OSError."""
    first = stream.read(8)
    if first[:4] != MAGIC:
        raise WasmError("It does not begin as a WebAssembly module.")
    if first[4:] != _MODULE:
        raise NotAModule("a component" if first[6:] == _COMPONENT_LAYER else "of another version of the format")
    found: dict[int, list[bytes]] = {}
    features: tuple[str, ...] = ()
    for number, (section, size) in enumerate(_sections(stream)):
        if number >= _MAX_SECTIONS:
            raise WasmError(f"It has more than {_MAX_SECTIONS} sections.")
        if section in (_IMPORT, _MEMORY, _EXPORT, _TAG) or (section == _CUSTOM and size <= _MAX_SECTION):
            if size > _MAX_SECTION:
                raise WasmError(f"One of its sections has {size} bytes, more than {_MAX_SECTION}.")
            content = stream.read(size)
            if len(content) < size:
                raise WasmError("It is truncated: it ends within a section.")
            if section == _CUSTOM:
                features += _features(content)
            else:
                found.setdefault(section, []).append(content)
        else:
            stream.seek(size, 1)
    try:
        return _module(found, features)
    except (IndexError, UnicodeDecodeError) as error:
        raise WasmError("It is damaged: a section is malformed.") from error


def _sections(stream: BinaryIO) -> Iterator[tuple[int, int]]:
    end = stream.seek(0, 2)
    stream.seek(8)
    while first := stream.read(1):
        size = shift = 0
        for _ in range(5):
            if not (byte := stream.read(1)):
                raise WasmError("It is truncated: it ends within a section.")
            size |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                break
        if stream.tell() + size > end:
            raise WasmError("It is truncated: it ends within a section.")
        after = stream.tell() + size
        yield first[0], size
        stream.seek(after)


class _Cursor:
    """Reads a section's content. Raises IndexError at its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def number(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise IndexError("a number without an end")

    def name(self) -> str:
        size = self.number()
        if size > len(self._content) - self._at:
            raise IndexError("a name without an end")
        self._at += size
        return self._content[self._at - size : self._at].decode("utf-8")

    def limits(self) -> int:
        """The flags of a memory or table."""
        flags = self.byte()
        self.number()
        if flags & _HAS_MAXIMUM:
            self.number()
        if flags & _PAGE_SIZE:
            self.number()
        return flags

    def type(self) -> None:
        """Skip a value type: one byte, or a reference with its own type."""
        if self.byte() in (0x63, 0x64):
            self.number()


def _module(sections: dict[int, list[bytes]], features: tuple[str, ...]) -> WasmModule:
    imports: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    exports: set[str] = set()
    memories: set[str] = set()
    flags: list[int] = []
    tags = bool(sections.get(_TAG))
    for content in sections.get(_IMPORT, []):
        cursor = _Cursor(content)
        for _ in range(cursor.number()):
            named = (cursor.name(), cursor.name())
            kind = cursor.byte()
            (imports if kind == _FUNCTION else others).append(named)
            if kind == _FUNCTION:
                cursor.number()
            elif kind == _TABLE:
                cursor.type()
                cursor.limits()
            elif kind == _MEMORIES:
                flags.append(cursor.limits())
            elif kind == _GLOBAL:
                cursor.type()
                cursor.byte()
            elif kind == _TAGS:
                tags = True
                cursor.byte()
                cursor.number()
            else:
                raise IndexError("an import of an unknown kind")
    for content in sections.get(_MEMORY, []):
        cursor = _Cursor(content)
        flags += [cursor.limits() for _ in range(cursor.number())]
    for content in sections.get(_EXPORT, []):
        cursor = _Cursor(content)
        for _ in range(cursor.number()):
            name, kind = cursor.name(), cursor.byte()
            cursor.number()
            if kind == _FUNCTION:
                exports.add(name)
            elif kind == _MEMORIES:
                memories.add(name)
    return WasmModule(
        tuple(imports), tuple(others), frozenset(exports), frozenset(memories), tuple(flags), tags, features
    )


def _features(content: bytes) -> tuple[str, ...]:
    """The names in a section ``target_features`` (WebAssembly tool conventions), which some compilers write."""
    cursor = _Cursor(content)
    try:
        if cursor.name() != _FEATURES:
            return ()
        marked = [(cursor.byte(), cursor.name()) for _ in range(min(cursor.number(), 1000))]
    except (IndexError, UnicodeDecodeError):
        return ()
    return tuple(name for mark, name in marked if mark in b"+=")
