"""The libraries that a program of an image needs, and those that they need: all must be somewhere in the image.

Where the dynamic linker finds a library depends on much that a run decides, so that only a name which no file has is
certain to be missing. ld.so(8): a library is also found by the name in it (DT_SONAME) if it is loaded already.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloister.protocol import elf, names
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.process import ContainerProcess
from cloister.protocol.containers.rootfs import Place, RootFilesystem

MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var/tmp", "work")
"""Folders of the sandbox's own file systems. What the image has there is not seen."""

Read = Callable[[Sequence[Place], int], Iterator[tuple[Place, bytes]]]
"""The first bytes of each of some files, in the order in which the image has them."""

WHOLE = 64 * 1024 * 1024
"""Bytes of a program or library in which the names of libraries are looked for, where there is memory for them."""

_SHOWN = 4
"""How many missing libraries are named."""

_GENERATIONS = 4
"""How often the libraries of libraries are looked for: each time, layers are decompressed again."""

_MAX_LIBRARIES = 256
"""How many libraries are examined."""

_MAX_COPIES = 4
"""How many files of one name are examined: what one of them does not need is not certain to be needed."""

_LIBRARY = (
    "Install it in the image (of a build in stages: in the last one), or link the program statically. In the image, "
    "`ldd` lists what is not found."
)
_OWN_NAMES = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
"""Libraries whose names musl's dynamic linker takes for its own (musl 1.2.5, ldso/dynlink.c, load_library)."""


def variable(process: ContainerProcess, name: str) -> str:
    """The value of a variable of the environment; empty without it."""
    return dict(one.partition("=")[::2] for one in process.environment).get(name, "")


def is_hidden(parts: list[str]) -> bool:
    """Whether the sandbox has a file system of its own there, or around it."""
    return any(parts[: len(point.split("/"))] == point.split("/") for point in MOUNT_POINTS)


def require_libraries(
    root: RootFilesystem, process: ContainerProcess, said: str, linker: str, program: elf.Dynamic, read: Read | None
) -> None:
    """Raise ContainerError for a library that no file of the image can be, whatever folders are searched.

    ``said`` begins the message: which program is started. ``read`` None looks for the program's own libraries alone.
    """
    path = variable(process, "LD_LIBRARY_PATH")
    if _may_be_mounted((*program.folders, *(path.split(":") if path else ())), process):
        return  # the library may be one of the algorithm's files
    musl = linker.rpartition("/")[2].startswith("ld-musl-")
    wanted = dict.fromkeys(_searched(program.needed, musl=musl), "")  # by which library
    known: set[str] = set()
    for _ in range(_GENERATIONS if read is not None else 1):
        found = root.named([name for name in wanted if name not in known], MOUNT_POINTS, _MAX_COPIES + 1)
        libraries = {} if read is None else _libraries(root, process, found, read, most=_MAX_LIBRARIES - len(known))
        sonames = {soname for library in libraries.values() for soname in library.sonames}
        if missing := [name for name, paths in found.items() if not paths and name not in sonames]:
            by = wanted[missing[0]]
            raise _absent(said, by, [name for name in missing if wanted[name] == by])
        known |= found.keys() | sonames
        wanted = {name: by for by, library in libraries.items() for name in _searched(library.needed, musl=musl)}


@dataclass
class _Library:
    """The names that all files of a library's name need, and all names in them."""

    needed: tuple[str, ...]
    sonames: set[str]


def _libraries(
    root: RootFilesystem, process: ContainerProcess, found: Mapping[str, list[str]], read: Read, *, most: int
) -> dict[str, _Library]:
    """The libraries at these paths by name. One that cannot be read, or is for another processor, is passed over."""
    places: dict[tuple[int, int], tuple[Place, list[str]]] = {}
    for name, paths in list(found.items())[: max(most, 0)]:
        targets = [root.find(path) for path in paths]
        files = {one.source: one for one in targets if one is not None and one.source is not None}
        for source, place in files.items() if len(files) <= _MAX_COPIES else ():
            places.setdefault(source, (place, []))[1].append(name)
    made: dict[str, _Library] = {}
    for place, data in read([place for place, _ in places.values()], WHOLE):
        dynamic = _dynamic(data) if len(data) < WHOLE else None
        if dynamic is None or place.source is None or _may_be_mounted(dynamic.folders, process):
            continue
        for name in places[place.source][1]:
            library = made.setdefault(name, _Library(dynamic.needed, set()))
            library.needed = tuple(one for one in library.needed if one in dynamic.needed)
            library.sonames.add(dynamic.soname)
    return made


def _dynamic(data: bytes) -> elf.Dynamic | None:
    try:
        return elf.dynamic(lambda offset, size: data[offset : offset + size])
    except elf.ElfError:
        return None


def _searched(needed: Iterable[str], *, musl: bool) -> list[str]:
    """Those that are looked for by name, and that the dynamic linker does not take for itself."""
    return [name for name in needed if "/" not in name and not (musl and name.startswith(_OWN_NAMES))]


def _absent(said: str, by: str, missing: Sequence[str]) -> ContainerError:
    listed = ", ".join(names.shown(name) for name in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    what = "a library" if len(missing) == 1 else "libraries"
    who = f"which needs {names.shown(by)}; that needs" if by else "which needs"
    return ContainerError(f"{said}, {who} {what} that the image does not have: {listed}{more}.", hint=_LIBRARY)


def _may_be_mounted(folders: Iterable[str], process: ContainerProcess) -> bool:
    return any(_is_mounted(folder, process) for folder in folders)


def _is_mounted(folder: str, process: ContainerProcess) -> bool:
    """Whether a folder that is searched for libraries may be one that the sandbox mounts. An empty name and relative
    ones mean the working folder (ld.so(8)).
    """
    if folder.startswith(("$ORIGIN", "${ORIGIN}")):
        return False
    whole = folder if folder.startswith("/") else f"{process.folder}/{folder}"
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    return ".." in parts or is_hidden(parts)
