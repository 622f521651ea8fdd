"""Examines an algorithm of kind binary: whether the guest's kernel and dynamic linker can start it.

The machine has the same files, so whatever would fail there fails here, before anyone consents.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from cloister import userfile
from cloister.client.script import kind
from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.errors import InputError
from cloister.protocol import elf, guest, names, text

_SAMPLE = 4096
_MACHINES = {
    3: "32-bit x86",
    8: "MIPS",
    20: "PowerPC",
    21: "64-bit PowerPC",
    22: "IBM Z",
    40: "32-bit ARM",
    183: "64-bit ARM (aarch64)",
    243: "RISC-V",
    258: "LoongArch",
}
_TYPES = {
    elf.RELOCATABLE: ("an object file, which was not linked", "Link it, for example with `gcc -static -o PROGRAM`."),
    elf.CORE: ("the memory of a program that crashed (core dump)", "Name the program itself."),
}
_REBUILD = (
    "Build it for x86-64, for example with GOARCH=amd64 or `cargo build --target x86_64-unknown-linux-musl`, or with a "
    "compiler on such a machine."
)
_STATIC = (
    "Link it statically (`gcc -static`, CGO_ENABLED=0, target x86_64-unknown-linux-musl), or bring its files, too: as "
    "an image of kind oci."
)
_BESIDE = (
    "Link it statically, name the library in algorithm.files and its folder in LD_LIBRARY_PATH, or bring all files as "
    "an image of kind oci."
)
_OLDER = f"Link it statically, or build it on a system with glibc 2.{guest.GLIBC_MINOR} or older, such as Debian 13."
_VERSION = re.compile(r"(?P<library>[A-Z]+_)(?P<version>\d{1,6}(?:\.\d{1,6}){0,4})")


def examine(program: Program) -> ProgramFindings:
    """Examine a program. Raises InputError when the guest cannot start it.

    A library that the base image lacks is a warning if the image may have more (``own_image``).
    """
    try:
        with userfile.open_regular(program.path) as stream:
            found = _read(program.path.name, stream)
    except OSError as error:
        raise userfile.unreadable(program.path, error) from error
    _require_startable(names.shown(program.path.name), found)
    return ProgramFindings(tuple(_libraries(program, found)))


def _read(name: str, stream: BinaryIO) -> elf.ElfProgram:
    first = stream.read(_SAMPLE)
    if not first.startswith(elf.MAGIC):
        what, hint = _other(first)
        raise InputError(f"{names.shown(name)} is {what}, not a compiled program for Linux (ELF).", hint=hint)

    def read(offset: int, size: int) -> bytes:
        stream.seek(offset)
        return stream.read(size)

    try:
        return elf.program(read)
    except elf.ElfError as error:
        raise InputError(
            f"{names.shown(name)} cannot be started: {error.message}", hint="Get or build the program again."
        ) from error


def _other(first: bytes) -> tuple[str, str]:
    """What a file that is not ELF is, and what to do."""
    if first.startswith(b"#!"):
        line = text.printable(first.split(b"\n", 1)[0][2:100].decode("utf-8", "replace").strip())
        if "python" in line:
            return f"a script for {line}", "Write `kind: python`."
        return f"a script for {line}", "Compile it, or bring its interpreter, too: as an image of kind oci."
    if not first:
        return "empty", "Build the program again."
    what = kind.described(first)
    if what is None:
        what = "text" if b"\0" not in first else "of an unknown kind"
    if (remedy := kind.remedy(first)) is not None:
        return what, remedy
    return what, "Name the program that the compiler wrote for x86-64 Linux; for a Python program write `kind: python`."


def _require_startable(name: str, found: elf.ElfProgram) -> None:
    if found.file_class != elf.CLASS_64 and found.machine in (elf.X86_64, 3):
        raise InputError(f"{name} is a 32-bit program; the machine runs 64-bit programs only.", hint=_REBUILD)
    if (found.file_class, found.byte_order, found.machine) != (elf.CLASS_64, elf.LITTLE_ENDIAN, elf.X86_64):
        machine = _MACHINES.get(found.machine, f"the processor with the number {found.machine}")
        raise InputError(f"{name} is built for {machine}; the machine is x86-64.", hint=_REBUILD)
    if (said := _TYPES.get(found.type)) is not None:
        raise InputError(f"{name} is {said[0]}.", hint=said[1])
    linked = found.dynamic
    if found.type not in (elf.EXECUTABLE, elf.SHARED) or not found.entry:
        raise InputError(f"{name} has no beginning at which it could be started.", hint="Name a program.")
    if found.interpreter is None:
        if linked is not None and (linked.needed or linked.soname):
            raise InputError(f"{name} is a shared library, not a program.", hint="Name the program that uses it.")
    elif found.interpreter != guest.LINKER:
        linker = names.shown(found.interpreter)
        known = "musl's" if "musl" in found.interpreter else "another one"
        raise InputError(
            f"{name} asks for the dynamic linker {linker} ({known}); the machine has {guest.LINKER} (glibc's).",
            hint=_STATIC,
        )


def _libraries(program: Program, found: elf.ElfProgram) -> Iterator[str]:
    name = names.shown(program.path.name)
    beside = {place.rpartition("/")[2] for place in program.files}
    needed = () if found.dynamic is None else found.dynamic.needed
    missing = [one for one in needed if one.rpartition("/")[2] not in guest.LIBRARIES | beside]
    if missing:
        libraries = ", ".join(names.shown(one) for one in missing[:8])
        said = f"{name} needs {libraries}, which the base image does not have."
        if not program.own_image:
            raise InputError(said, hint=_BESIDE)
        yield f"{said} It starts on a machine whose image has it."
    for version in found.versions:
        if newer := _newer(version):
            raise InputError(f"{name} needs {text.printable(version)}; the machine has at most {newer}.", hint=_OLDER)


def _newer(version: str) -> str:
    """The guest's newest version of the same library, if ``version`` is newer; empty for all others."""
    parsed = _VERSION.fullmatch(version)
    own = guest.SYMBOL_VERSIONS.get(parsed["library"]) if parsed else None
    if parsed is None or own is None:
        return ""
    wanted = tuple(int(part) for part in parsed["version"].split("."))
    return parsed["library"] + ".".join(map(str, own)) if wanted > own else ""
