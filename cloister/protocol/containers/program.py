"""The program that an image starts: found as the runtime finds it, and whether the kernel can start it.

Linux, fs/binfmt_elf.c and fs/binfmt_script.c: an ELF file names its dynamic linker, a script its interpreter, and both
must be in the image.
"""

from collections.abc import Callable, Iterator

from cloister.protocol import elf, names, text
from cloister.protocol.archives.paths import shown
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.process import ContainerProcess
from cloister.protocol.containers.rootfs import Place, RootFilesystem
from cloister.protocol.placement import WORK

MOUNT_POINTS = ("dev", "proc", "run", "sys", "tmp", "var/tmp", "work")
"""Folders of the sandbox's own file systems. What the image has there is not seen."""

Read = Callable[[Place, int], bytes]
"""The first bytes of a file."""

START = 1024 * 1024
"""Bytes at the beginning of a program that are examined on a machine: there, the name of its dynamic linker counts."""

WHOLE = 64 * 1024 * 1024
"""Bytes of a program in which the names of its libraries are looked for, where there is memory for them."""

_LINE = 256
"""Bytes of a script's first line that the kernel reads (binfmts.h, BINPRM_BUF_SIZE)."""

_SHOWN = 4
"""How many missing libraries are named."""

_SCRIPTS = 4
"""How many scripts may be each other's interpreters (fs/exec.c, exec_binprm)."""

_COMMAND = "Correct ENTRYPOINT, CMD or PATH in the Dockerfile, or `args` in the manifest."
_PLATFORM = "Build it for x86-64: `docker build --platform linux/amd64`, GOARCH=amd64, a compiler for this processor."
_LINKER = (
    "Link the program statically, or build it in the image that it runs in: one with glibc needs another linker than "
    "one with musl (Alpine), and `scratch` has none."
)
_LIBRARY = (
    "Install it in the image (of a build in stages: in the last one), or link the program statically. In the image, "
    "`ldd` lists what is not found."
)
_OWN_NAMES = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
"""Libraries whose names musl's dynamic linker takes for its own (musl 1.2.5, ldso/dynlink.c, load_library)."""

_FILE = (
    "COPY the program to another folder of the image, such as /app. For a script that is one of the algorithm's files, "
    "start its interpreter: `args: [sh, /work/train.sh]`."
)
_INTERPRETER = "Install the interpreter in the image, or correct the first line of the script."
_ENDINGS = "Save the script with line endings of Linux: `sed -i 's/\\r$//' SCRIPT` in the Dockerfile."
_FORMAT = "Begin a script with its interpreter, such as #!/bin/sh; compile a program for x86-64 Linux."


def require_program(root: RootFilesystem, process: ContainerProcess, read: Read, most: int = START) -> None:
    """Raise ContainerError if an image's program is not in it, or its user may not or the kernel cannot start it.

    So it is for a library that the program needs and that is nowhere in the image, if the program has at most ``most``
    bytes. What its libraries need is not examined.
    """
    program = process.args[0]
    found = _find(root, process, program)
    if isinstance(found, str):
        raise ContainerError(
            f"The image starts {names.shown(program)}, which its user {process.user} may not execute: {shown(found)} "
            "does not let it.",
            hint="Write `COPY --chmod=755`, or `RUN chmod` in the Dockerfile. Root, too, needs the right on a machine.",
        )
    if found is None:
        raise ContainerError(f"The image starts {names.shown(program)}, which is not in it.", hint=_COMMAND)
    _require_startable(root, process, found, read, most)


def _places(process: ContainerProcess, program: str) -> list[str]:
    """Where a program may be: at its path, or in the folders of PATH."""
    if "/" in program:
        return [program if program.startswith("/") else f"{process.folder}/{program}"]
    return [f"{folder}/{program}" for folder in _variable(process, "PATH").split(":") if folder.startswith("/")]


def _variable(process: ContainerProcess, name: str) -> str:
    """The value of a variable of the environment; empty without it."""
    return dict(one.partition("=")[::2] for one in process.environment).get(name, "")


def _is_hidden(parts: list[str]) -> bool:
    """Whether the sandbox has a file system of its own there, or around it."""
    return any(parts[: len(point.split("/"))] == point.split("/") for point in MOUNT_POINTS)


def _find(root: RootFilesystem, process: ContainerProcess, program: str) -> Place | str | None:
    """The first file of this name that the process may execute; what does not let it, if there is one that it may not.

    Raises ContainerError for the path of one of the algorithm's files, whose mounts allow no execution.
    """
    closed: str | None = None
    for place in _places(process, program):
        parts = [part for part in place.split("/") if part not in ("", ".")]
        if _is_hidden(parts):
            if parts[0] == WORK.strip("/") and "/" in program:
                raise ContainerError(
                    f"{shown('/' + '/'.join(parts))} cannot be started: no file in {WORK} can be executed.",
                    hint=_FILE,
                )
            continue
        found = root.find(place)
        if found is not None and found.is_file:
            closes = _closed(found, process)
            if closes is None:
                return found
            closed = closed or closes
    return closed


def _closed(found: Place, process: ContainerProcess) -> str | None:
    """The first folder on the way to a program that ``process`` may not search, or the program if it may not run it.

    No process of the sandbox has a capability, so that root is a user like the others (path_resolution(7)).
    """
    parts = found.path.split("/")
    for depth, one in enumerate(found.metadata):
        if one.user == process.user:
            allowed = one.mode & 0o100
        elif one.group in (process.group, *process.groups):
            allowed = one.mode & 0o010
        else:
            allowed = one.mode & 0o001
        if not allowed:
            return "/" + "/".join(parts[:depth])
    return None


def _require_startable(root: RootFilesystem, process: ContainerProcess, place: Place, read: Read, most: int) -> None:
    """Follow a program to its interpreter or dynamic linker. Raises ContainerError if the kernel cannot start it."""
    for _ in range(_SCRIPTS):
        said = f"The image starts {shown('/' + place.path)}"
        begins = read(place, most)
        if not begins.startswith(b"#!"):
            break
        for needed in _interpreters(said, begins):
            found = _find(root, process, needed)
            if not isinstance(found, Place):
                where = "is not in it" if found is None else f"its user {process.user} may not execute"
                raise ContainerError(f"{said}, a script for {names.shown(needed)}, which {where}.", hint=_INTERPRETER)
            place = found
    else:
        raise ContainerError("The image starts a script whose interpreter is a script, and so on.", hint=_INTERPRETER)
    linker = _linker(said, begins, most)
    if linker is None:
        return
    if _find(root, process, linker) is None:
        raise ContainerError(
            f"{said}, which needs the dynamic linker {names.shown(linker)}; that is not in it.", hint=_LINKER
        )
    if len(begins) < most:
        _require_libraries(root, process, said, linker, begins)


def _require_libraries(root: RootFilesystem, process: ContainerProcess, said: str, linker: str, program: bytes) -> None:
    """Raise ContainerError for a library that the dynamic linker cannot find in any folder, whatever it searches."""
    try:
        dynamic = elf.dynamic(lambda offset, size: program[offset : offset + size])
    except elf.ElfError as error:
        raise ContainerError(f"{said}, which is damaged: {error.message}", hint=_FORMAT) from error
    if dynamic is None:
        return
    path = _variable(process, "LD_LIBRARY_PATH")
    if any(_is_mounted(folder, process) for folder in (*dynamic.folders, *(path.split(":") if path else ()))):
        return  # the library may be one of the algorithm's files
    needed = [name for name in dynamic.needed if "/" not in name]
    if linker.rpartition("/")[2].startswith("ld-musl-"):
        needed = [name for name in needed if not name.startswith(_OWN_NAMES)]
    if missing := root.absent(needed, MOUNT_POINTS):
        shown_names = ", ".join(names.shown(name) for name in missing[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        what = "a library" if len(missing) == 1 else "libraries"
        raise ContainerError(
            f"{said}, which needs {what} that the image does not have: {shown_names}{more}.", hint=_LIBRARY
        )


def _is_mounted(folder: str, process: ContainerProcess) -> bool:
    """Whether a folder that is searched for libraries may be one that the sandbox mounts. An empty name and relative
    ones mean the working folder (ld.so(8)).
    """
    if folder.startswith(("$ORIGIN", "${ORIGIN}")):
        return False
    whole = folder if folder.startswith("/") else f"{process.folder}/{folder}"
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    return ".." in parts or _is_hidden(parts)


def _interpreters(said: str, begins: bytes) -> Iterator[str]:
    """The interpreter that a script names, and the one that `env` looks for (env(1)). Raises ContainerError."""
    line = begins[2:_LINE].split(b"\n", 1)[0]
    words = line.strip(b" \t").replace(b"\t", b" ").split(b" ", 1)
    if line.endswith(b"\r") and b"\n" in begins[:_LINE]:
        name = text.printable(words[-1].rstrip(b"\r").decode("utf-8", "replace"))
        raise ContainerError(f"{said}, a script with line endings of Windows: it asks for {name}\\r.", hint=_ENDINGS)
    if not words[0]:
        raise ContainerError(f"{said}, a script without an interpreter.", hint=_INTERPRETER)
    yield words[0].decode("utf-8", "surrogateescape")
    rest = words[1].strip().decode("utf-8", "surrogateescape") if len(words) > 1 else ""
    if words[0].endswith(b"/env") and rest and not rest.startswith("-") and "=" not in rest:
        yield rest


def _linker(said: str, begins: bytes, most: int) -> str | None:
    """The dynamic linker of a program; None for one without, or whose name is not in its first ``most`` bytes."""
    if not begins.startswith(elf.MAGIC):
        what = "is empty" if not begins else "is neither a program (ELF) nor a script that names its interpreter (#!)"
        raise ContainerError(f"{said}, which {what}.", hint=_FORMAT)
    try:
        found = elf.start(lambda offset, size: begins[offset : offset + size])
    except elf.ElfError as error:
        if len(begins) >= most:
            return None  # patchelf puts the name at the end
        raise ContainerError(f"{said}, which is damaged: {error.message}", hint=_FORMAT) from error
    if (found.file_class, found.byte_order, found.machine) != (elf.CLASS_64, elf.LITTLE_ENDIAN, elf.X86_64):
        raise ContainerError(f"{said}, which is not a program for x86-64 (64 bits).", hint=_PLATFORM)
    if found.type not in (elf.EXECUTABLE, elf.SHARED):
        raise ContainerError(f"{said}, which is not a program but another ELF file.", hint=_FORMAT)
    return found.interpreter
