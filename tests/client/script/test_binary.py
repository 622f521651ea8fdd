"""A compiled program that the guest cannot start is refused on the author's machine, with what to do about it."""

import struct
from pathlib import Path

import pytest

from cloister.client.script.algorithm import Program
from cloister.client.script.examination import examine
from cloister.errors import InputError
from cloister.protocol import elf
from tests import compiled
from tests.image.small_programs import elf_program

NOTHING = "int main(void) { return 0; }"
LINKER = "/lib64/ld-linux-x86-64.so.2"


def program(needed=(), *, linker=LINKER, entry=0x1000, kind=3, machine=62, bits=2, order=1, versions=()) -> bytes:
    """An ELF file with the parts that decide whether it starts: a header, PT_INTERP, needed libraries and versions."""
    strings, rows = b"\0", []
    for name in needed:
        rows.append((1, len(strings)))
        strings += name.encode() + b"\0"
    parts = []
    for name in versions:
        parts.append(len(strings))
        strings += name.encode() + b"\0"
    start = 64 + 3 * 56
    wanted = struct.pack("<HHIII", 1, len(parts), 0, 16, 0) if parts else b""
    for number, place in enumerate(parts):
        wanted += struct.pack("<IHHII", 0, 0, 0, place, 16 if number + 1 < len(parts) else 0)
    at = start + len(strings)
    rows += [(5, start), *([(0x6FFFFFFE, at), (0x6FFFFFFF, 1)] if parts else []), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *row) for row in rows)
    place = at + len(wanted)
    name = linker.encode() + b"\0"
    segments = [(1, 5, 0, 0, 0, 1 << 16, 1 << 16, 1), (2, 6, place, place, place, len(dynamic), len(dynamic), 8)]
    segments += [(3, 4, place + len(dynamic), 0, 0, len(name), len(name), 1)] if linker else []
    header = struct.pack(
        "<4sBBBBB7xHHIQQQIHHHHHH",
        *(b"\x7fELF", bits, order, 1, 0, 0, kind, machine, 1, entry, 64, 0, 0, 64, 56, len(segments), 64, 0, 0),
    )
    table = b"".join(struct.pack("<IIQQQQQQ", *row) for row in segments)
    return (header + table).ljust(start, b"\0") + strings + wanted + dynamic + name


def write(folder: Path, content: bytes, name: str = "train") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def found(path: Path, **more) -> tuple[str, ...]:
    return examine(Program(path, **({"files": {}, "environment": {}, "kind": "binary"} | more))).warnings


REFUSED = {
    "empty": (b"", "is empty, not a compiled", "again"),
    "shell script": (b"#!/bin/sh\necho 1\n", "is a script for /bin/sh, not a compiled", "kind oci"),
    "python script": (b"#!/usr/bin/env python3\nprint(1)\n", "is a script for /usr/bin/env python3", "kind: python"),
    "script that hides": (b"#!\x1b[2J\n", "is a script for", "kind oci"),
    "text": (b"print(1)\n", "is text, not a compiled", "kind: python"),
    "data": (b"\0\1\2\3" * 10, "is of an unknown kind, not a compiled", "compiler"),
    "windows": (b"MZ" + bytes(100), "is a program for Windows", "x86-64 Linux"),
    "macos": (b"\xcf\xfa\xed\xfe" + bytes(100), "is a program for macOS", "x86-64 Linux"),
    "wasm": (b"\0asm\1\0\0\0", "is a WebAssembly module", "kind: wasm"),
    "tar": (bytes(257) + b"ustar\x0000" + bytes(60), "is a tar archive, not a compiled", "kind: oci"),
    "zip": (b"PK\x03\x04" + bytes(60), "is a zip archive", "x86-64 Linux"),
    "arm": (program(machine=183), "is built for 64-bit ARM (aarch64); the machine is x86-64", "GOARCH=amd64"),
    "risc-v": (program(machine=243), "is built for RISC-V", "GOARCH=amd64"),
    "unknown processor": (program(machine=9999), "the processor with the number 9999", "GOARCH=amd64"),
    "big-endian": (program(order=2, machine=0x1500), "64-bit PowerPC", "GOARCH=amd64"),
    "32-bit x86": (program(bits=1, machine=3), "is a 32-bit program", "x86-64"),
    "x32": (program(bits=1), "is a 32-bit program", "x86-64"),
    "object file": (program(kind=1), "is an object file", "Link it"),
    "core dump": (program(kind=4), "(core dump)", "program itself"),
    "library": (program(["libc.so.6"], linker=""), "is a shared library", "program"),
    "library with a name": (elf_program([], "liba.so.1"), "no beginning", "program"),
    "no entry": (program(entry=0), "no beginning", "program"),
    "musl": (program(["libc.musl-x86_64.so.1"], linker="/lib/ld-musl-x86_64.so.1"), "(musl's)", "statically"),
    "nix": (program(linker="/nix/store/abc-glibc/lib/ld-linux-x86-64.so.2"), "(another one)", "statically"),
    "missing library": (program(["libc.so.6", "libopenblas.so.0"]), "needs libopenblas.so.0, which", "LD_LIBRARY_PATH"),
    "newer glibc": (
        program(["libc.so.6"], versions=["GLIBC_2.2.5", "GLIBC_2.42"]),
        "needs GLIBC_2.42; the mach",
        "2.41",
    ),
    "newer libstdc++": (program(["libstdc++.so.6"], versions=["GLIBCXX_3.4.34"]), "at most GLIBCXX_3.4.33", "Debian"),
    "cut": (program()[:120], "it ends within", "again"),
    "cut header": (program()[:40], "cannot be started", "again"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_the_guest_cannot_start_is_refused(tmp_path: Path, case: str) -> None:
    content, said, remedy = REFUSED[case]
    with pytest.raises(InputError) as caught:
        found(write(tmp_path, content))

    assert said in caught.value.message
    assert remedy in caught.value.hint
    assert caught.value.message.startswith("train ")
    assert caught.value.message.isprintable()
    assert caught.value.exit_code == 2


STARTED = {
    "static": program(linker="", kind=2),
    "static and position-independent": program(linker=""),
    "linked": program(["libc.so.6", "libm.so.6"], versions=["GLIBC_2.34", "GLIBC_ABI_DT_RELR"]),
    "linked with the newest": program(["libstdc++.so.6"], versions=["GLIBCXX_3.4.33", "CXXABI_1.3.15", "GLIBC_2.41"]),
    "versions of another library": program(["libz.so.1"], versions=["ZLIB_9.9"]),
}


@pytest.mark.parametrize("case", list(STARTED))
def test_what_the_guest_can_start_is_accepted(tmp_path: Path, case: str) -> None:
    assert found(write(tmp_path, STARTED[case])) == ()


@pytest.mark.parametrize("options", [(), ("-static",), ("-static-pie",), ("-no-pie",)])
def test_programs_of_a_real_compiler_are_accepted(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert found(compiled.build(NOTHING, tmp_path / "train", *options)) == ()


def test_libraries_of_a_real_compiler_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a shared library|no beginning"):
        found(compiled.build("int f(void) { return 0; }", tmp_path / "train", "-shared", "-fPIC"))


def test_library_beside_the_program_is_not_missing(tmp_path: Path) -> None:
    path = write(tmp_path, program(["libown.so.1"]))

    assert found(path, files={"lib/libown.so.1": None}) == ()


def test_library_that_another_image_may_have_is_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, program(["libopenblas.so.0"]))

    assert "needs libopenblas.so.0" in found(path, own_image=True)[0]


@pytest.mark.parametrize("size", [0, 1, 10_000])
def test_malformed_tables_are_errors_and_end(size: int) -> None:
    content = bytearray(program(["libc.so.6"], versions=["GLIBC_2.2.5"]))
    for place in range(0, len(content), 7):
        changed = bytes(content[:place]) + b"\xff" * 8 + bytes(content[place + 8 :])
        data = changed[: len(changed) - size] if size < len(changed) else changed

        try:
            elf.program(lambda offset, length, data=data: data[offset : offset + length])
        except elf.ElfError:
            pass
