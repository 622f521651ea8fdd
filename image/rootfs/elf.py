"""Find the shared objects that ELF programs need, directly or indirectly."""

import posixpath
from collections.abc import Iterable

from cloister.protocol import elf, guest
from image.errors import ImageError
from image.rootfs.tree import Tree

_LOADER = "usr/lib64/ld-linux-x86-64.so.2"


def needed(program: bytes) -> list[str]:
    """The names in DT_NEEDED, in their order; empty for a static program. Raises ImageError for an invalid file."""
    try:
        found = elf.dynamic(lambda offset, size: program[offset : offset + size])
    except elf.ElfError as error:
        raise ImageError(error.message) from error
    return list(found.needed) if found is not None else []


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
        pending.extend(
            posixpath.join(guest.LIBRARY_FOLDER, name) for name in libraries if not name.startswith("ld-linux")
        )
    return found
