"""The program that an image starts: found as the runtime finds it, and whether the kernel can start it.

Linux, fs/binfmt_elf.c and fs/binfmt_script.c: an ELF file names its dynamic linker, a script its interpreter, and both
must be in the image.
"""

from collections.abc import Iterator

from cloister.protocol import elf, names, text
from cloister.protocol.archives.paths import shown
from cloister.protocol.containers.errors import ContainerError
from cloister.protocol.containers.libraries import WHOLE, Read, is_hidden, require_libraries, variable
from cloister.protocol.containers.process import ContainerProcess
from cloister.protocol.containers.rootfs import Place, RootFilesystem
from cloister.protocol.placement import WORK

START = 1024 * 1024
"""Bytes at the beginning of a program that are examined on a machine: there, the name of its dynamic linker counts."""

_LINE = 256
"""Bytes of a script's first line that the kernel reads (binfmts.h, BINPRM_BUF_SIZE)."""

_SCRIPTS = 4
"""How many scripts may be each other's interpreters (fs/exec.c, exec_binprm)."""

_COMMAND = "Correct ENTRYPOINT, CMD or PATH in the Dockerfile, or `args` in the manifest."
_PLATFORM = "Build it for x86-64: `docker build --platform linux/amd64`, GOARCH=amd64, a compiler for this processor."
_LINKER = (
    "Link the program statically, or build it in the image that it runs in: one with glibc needs another linker than "
    "one with musl (Alpine), and `scratch` has none."
)
_FILE = (
    "COPY the program to another folder of the image, such as /app. For a script that is one of the algorithm's files, "
    "start its interpreter: `args: [sh, /work/train.sh]`."
)
_INTERPRETER = "Install the interpreter in the image, or correct the first line of the script."
_ENDINGS = "Save the script with line endings of Linux: `sed -i 's/\\r$//' SCRIPT` in the Dockerfile."
_FORMAT = "Begin a script with its interpreter, such as #!/bin/sh; compile a program for x86-64 Linux."


def require_program(root: RootFilesystem, process: ContainerProcess, read: Read, most: int = START) -> None:
    """Raise ContainerError if an image's program is not in it, or its user may not or the kernel cannot start it.

    So it is for a library that the program needs and that is nowhere in the image, if the program has fewer than
    ``most`` bytes. With ``WHOLE`` of them, so it is for what its libraries need.
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
    return [f"{folder}/{program}" for folder in variable(process, "PATH").split(":") if folder.startswith("/")]


def _find(root: RootFilesystem, process: ContainerProcess, program: str) -> Place | str | None:
    """The first file of this name that the process may execute; what does not let it, if there is one that it may not.

    Raises ContainerError for the path of one of the algorithm's files, whose mounts allow no execution.
    """
    closed: str | None = None
    for place in _places(process, program):
        parts = [part for part in place.split("/") if part not in ("", ".")]
        if is_hidden(parts):
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
        begins = next((data for _, data in read([place], most)), b"")
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
        try:
            dynamic = elf.dynamic(lambda offset, size: begins[offset : offset + size])
        except elf.ElfError as error:
            raise ContainerError(f"{said}, which is damaged: {error.message}", hint=_FORMAT) from error
        if dynamic is not None:
            require_libraries(root, process, said, linker, dynamic, read if most >= WHOLE else None)


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
