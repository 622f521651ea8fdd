"""Find the shared objects that ELF programs need.

System V ABI, "Object Files" (ELF header, section header table) and "Dynamic Section" (DT_NEEDED).
"""

import posixpath
import struct
from collections.abc import Iterable

from image.errors import ImageError
from image.rootfs.tree import Tree

_HEADER = struct.Struct("<4sBBBBB7xHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_DYNAMIC = struct.Struct("<qQ")
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_SHT_DYNAMIC, _DT_NULL, _DT_NEEDED = 6, 0, 1

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"


def needed(program: bytes) -> list[str]:
    """The names in DT_NEEDED, in their order; empty for a static program. Raises ImageError for an invalid file."""
    try:
        magic, file_class, encoding, *rest = _HEADER.unpack_from(program)
        if magic != b"\x7fELF" or file_class != _CLASS_64 or encoding != _LITTLE_ENDIAN:
            raise ImageError("The program is not a 64-bit little-endian ELF file.")
        table, entry_size, count = rest[8], rest[13], rest[14]
        rows = [_SECTION.unpack_from(program, table + entry_size * index) for index in range(count)]
        names: list[str] = []
        for row in rows:
            if row[1] != _SHT_DYNAMIC:
                continue
            strings = rows[row[6]][4]
            for tag, value in _DYNAMIC.iter_unpack(program[row[4] : row[4] + row[5]]):
                if tag == _DT_NULL:
                    break
                if tag == _DT_NEEDED:
                    start = strings + value
                    names.append(program[start : program.index(b"\0", start)].decode("ascii"))
    except (struct.error, IndexError, ValueError) as error:
        raise ImageError(f"Invalid ELF program: {error}.") from error
    return names


def closure(tree: Tree, programs: Iterable[str]) -> Tree:
    """``programs`` from ``tree`` with the loader and every shared object that they need, links resolved."""
    found = Tree()
    pending = list(programs)
    while pending:
        path = pending.pop()
        if path in found:
            continue
        entry = tree[tree.resolve(path)]
        found.put(path, entry)
        libraries = needed(entry.contents)
        if libraries:
            pending.append(_LOADER)
        # libc also needs the loader, which was added with the first library.
        pending.extend(posixpath.join(_LIBRARIES, name) for name in libraries if not name.startswith("ld-linux"))
    return found
