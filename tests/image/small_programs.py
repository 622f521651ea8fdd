"""Small examples of the files in an image: an EFI program, an ELF program, a kernel module, a package."""

import io
import lzma
import struct
import tarfile
from collections.abc import Iterable

from image.rootfs.tree import EntryKind, TreeEntry
from tests.image.small_archive import make_deb

STUB_SBAT = b"sbat,1,SBAT Version,sbat,1,https://example.org\n"


def efi_program(sections: Iterable[tuple[str, bytes]] = ((".text", b"\xc3" * 100), (".sbat", STUB_SBAT))) -> bytes:
    """A PE32+ file with these sections and space in its headers for eight more; it does nothing when run."""
    file_alignment, section_alignment, headers = 512, 4096, 1024
    rows, contents, address, offset = b"", b"", section_alignment, headers
    count = 0
    for name, data in sections:
        padded = data + bytes(-len(data) % file_alignment)
        rows += struct.pack(
            "<8sIIIIIIHHI", name.encode(), len(data), address, len(padded), offset, 0, 0, 0, 0, 0x60000020
        )
        address += -(-len(data) // section_alignment) * section_alignment
        offset += len(padded)
        contents += padded
        count += 1
    dos = b"MZ".ljust(60, b"\0") + struct.pack("<I", 64)
    coff = struct.pack("<HHIIIHH", 0x8664, count, 0, 0, 0, 240, 0x22)
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, 512, 0, 0, section_alignment, section_alignment)
    optional += struct.pack("<QII", 0x140000000, section_alignment, file_alignment)
    optional += struct.pack("<HHHHHHIIIIHH", 0, 0, 0, 0, 2, 0, 0, address, headers, 0xC0FFEE, 10, 0)
    optional += struct.pack("<QQQQII", 0, 0, 0, 0, 0, 16) + bytes(16 * 8)
    return (dos + b"PE\0\0" + coff + optional + rows).ljust(headers, b"\0") + contents


def elf_program(
    needed: Iterable[str], soname: str = "", before: int = 0, *, linker: str = "", folders: str = ""
) -> bytes:
    """An ELF file with a dynamic section that needs these libraries, which ``linker`` looks for in ``folders``, too
    (DT_RUNPATH), and nothing else but ``before`` zero bytes.
    """
    entries, strings = [], b"\0"
    named = [
        *((1, name) for name in needed),
        *([(14, soname)] if soname else []),
        *([(29, folders)] if folders else []),
    ]
    for tag, name in named:
        entries.append((tag, len(strings)))
        strings += name.encode() + b"\0"
    count = 3 if linker else 2
    start = 64 + count * 56 + before
    dynamic = b"".join(struct.pack("<qQ", *row) for row in [*entries, (5, 0x1000 + start), (10, len(strings)), (0, 0)])
    size = start + len(strings) + len(dynamic)
    header = struct.pack(
        "<4sBBBBB7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 3, 62, 1, 0, 64, 0, 0, 64, 56, count, 64, 0, 0
    )
    rows = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x1000, 0x1000, size, size, 0x1000)
    place = start + len(strings)
    rows += struct.pack("<IIQQQQQQ", 2, 6, place, 0x1000 + place, 0x1000 + place, len(dynamic), len(dynamic), 8)
    name = linker.encode() + b"\0" if linker else b""
    if linker:
        rows += struct.pack("<IIQQQQQQ", 3, 4, size, 0, 0, len(name), len(name), 1)
    return header + rows + bytes(before) + strings + dynamic + name


def module(name: str, depends: str = "", softdep: str = "") -> bytes:
    """The part of a kernel module that is read: its .modinfo."""
    soft = b"softdep=pre: " + softdep.encode() + b"\0" if softdep else b""
    return b"\x7fELF...\0name=" + name.encode() + b"\0" + soft + b"depends=" + depends.encode() + b"\0tail"


def compressed_module(name: str, depends: str = "", softdep: str = "") -> bytes:
    return lzma.compress(module(name, depends, softdep))


def package(files: dict[str, bytes]) -> bytes:
    """A .deb with these files."""
    return make_deb({"Package": "small"}, files)


def package_of_entries(entries: dict[str, tuple[int, TreeEntry]]) -> bytes:
    """A .deb with links, modes and folders: path -> (mode, entry)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (mode, entry) in entries.items():
            member = tarfile.TarInfo(f"./{name}")
            member.mode, member.uid, member.uname, member.mtime = mode, 1000, "builder", 1_700_000_000
            if entry.kind is EntryKind.DIRECTORY:
                member.type = tarfile.DIRTYPE
            elif entry.kind is EntryKind.LINK:
                member.type, member.linkname = tarfile.SYMTYPE, entry.contents.decode()
            else:
                member.size = len(entry.contents)
            archive.addfile(member, io.BytesIO(entry.contents) if entry.kind is EntryKind.FILE else None)
    content = lzma.compress(buffer.getvalue())
    out = b"!<arch>\n"
    for name, part in (("debian-binary", b"2.0\n"), ("data.tar.xz", content)):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
    return out
