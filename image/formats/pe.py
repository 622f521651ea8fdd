"""Read and append sections of PE32+ images, compute the Authenticode digest, and attach a signature.

Microsoft, "PE Format" (COFF header, optional header, section table) and "Windows Authenticode Portable Executable
Signature Format", section "Calculating the PE Image Hash".
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from image.errors import ImageError

# Offsets in the DOS header and in the file.
_E_LFANEW = 0x3C
# Offsets from the PE signature: COFF header at 4, optional header at 24.
_NUMBER_OF_SECTIONS = 6
_SIZE_OF_OPTIONAL_HEADER = 20
_OPTIONAL_HEADER = 24
# Offsets in the optional header of PE32+.
_PE32_PLUS = 0x20B
_SECTION_ALIGNMENT = 32
_FILE_ALIGNMENT = 36
_SIZE_OF_IMAGE = 56
_SIZE_OF_HEADERS = 60
_CHECKSUM = 64
_NUMBER_OF_DIRECTORIES = 108
_CERTIFICATE_DIRECTORY = 112 + 8 * 4

_SECTION = struct.Struct("<8sIIIIIIHHI")
_INITIALISED_DATA_READABLE = 0x40000040


@dataclass(frozen=True)
class PeSection:
    """One row of the section table; sizes and addresses in bytes."""

    name: str
    virtual_size: int
    virtual_address: int
    raw_size: int
    raw_offset: int


@dataclass(frozen=True)
class Headers:
    """The headers of an image; offsets in bytes from the start of the file.

    signature, optional, section_table: offsets of the PE signature, the optional header and the section table.
    sections: the rows of the section table.
    section_alignment, file_alignment: in memory and in the file, in bytes.
    size_of_headers: as in the optional header.
    certificate_size: bytes of the attribute certificate table; 0 for an unsigned image.
    """

    signature: int
    optional: int
    section_table: int
    sections: tuple[PeSection, ...]
    section_alignment: int
    file_alignment: int
    size_of_headers: int
    certificate_size: int

    @classmethod
    def parse(cls, image: bytes) -> Self:
        """Raises ImageError when ``image`` is not a PE32+ file."""
        try:
            (signature,) = struct.unpack_from("<I", image, _E_LFANEW)
            optional = signature + _OPTIONAL_HEADER
            if image[:2] != b"MZ" or image[signature : signature + 4] != b"PE\0\0":
                raise ImageError("The EFI program has no PE signature.")
            (magic,) = struct.unpack_from("<H", image, optional)
            if magic != _PE32_PLUS:
                raise ImageError(f"Unsupported EFI program: format {magic:#x}, expected PE32+ ({_PE32_PLUS:#x}).")
            (count,) = struct.unpack_from("<H", image, signature + _NUMBER_OF_SECTIONS)
            (optional_size,) = struct.unpack_from("<H", image, signature + _SIZE_OF_OPTIONAL_HEADER)
            section_alignment, file_alignment = struct.unpack_from("<II", image, optional + _SECTION_ALIGNMENT)
            (size_of_headers,) = struct.unpack_from("<I", image, optional + _SIZE_OF_HEADERS)
            (directories,) = struct.unpack_from("<I", image, optional + _NUMBER_OF_DIRECTORIES)
            certificate_size = 0
            if directories > 4:
                (certificate_size,) = struct.unpack_from("<I", image, optional + _CERTIFICATE_DIRECTORY + 4)
            table = optional + optional_size
            rows = (_SECTION.unpack_from(image, table + _SECTION.size * index) for index in range(count))
            sections = tuple(PeSection(row[0].rstrip(b"\0").decode("ascii"), *row[1:5]) for row in rows)
        except (struct.error, UnicodeDecodeError) as error:
            raise ImageError(f"Invalid headers of the EFI program: {error}.") from error
        return cls(
            signature,
            optional,
            table,
            sections,
            section_alignment,
            file_alignment,
            size_of_headers,
            certificate_size,
        )


def sections(image: bytes) -> dict[str, bytes]:
    """Name -> contents (VirtualSize bytes, as a loader sees them) of every section, in the order of the table."""
    return {
        section.name: image[section.raw_offset : section.raw_offset + section.virtual_size]
        for section in Headers.parse(image).sections
    }


def append_sections(image: bytes, added: Sequence[tuple[str, bytes]]) -> bytes:
    """``image`` with read-only data sections appended. Raises ImageError if its headers have no space for them."""
    headers = Headers.parse(image)
    table_end = headers.section_table + _SECTION.size * (len(headers.sections) + len(added))
    first_contents = min(section.raw_offset for section in headers.sections if section.raw_offset)
    if table_end > first_contents:
        raise ImageError(f"The headers of the EFI program have no space for {len(added)} more sections.")
    result = bytearray(image)
    result += bytes(-len(result) % headers.file_alignment)
    end = max(section.virtual_address + section.virtual_size for section in headers.sections)
    for index, (name, contents) in enumerate(added, start=len(headers.sections)):
        address = _round_up(end, headers.section_alignment)
        padded = contents + bytes(-len(contents) % headers.file_alignment)
        row = _SECTION.pack(
            name.encode("ascii"),
            len(contents),
            address,
            len(padded),
            len(result),
            0,
            0,
            0,
            0,
            _INITIALISED_DATA_READABLE,
        )
        start = headers.section_table + _SECTION.size * index
        result[start : start + _SECTION.size] = row
        result += padded
        end = address + len(contents)
    total = len(headers.sections) + len(added)
    struct.pack_into("<H", result, headers.signature + _NUMBER_OF_SECTIONS, total)
    struct.pack_into("<I", result, headers.optional + _SIZE_OF_IMAGE, _round_up(end, headers.section_alignment))
    size_of_headers = max(headers.size_of_headers, _round_up(table_end, headers.file_alignment))
    struct.pack_into("<I", result, headers.optional + _SIZE_OF_HEADERS, size_of_headers)
    struct.pack_into("<I", result, headers.optional + _CHECKSUM, 0)
    return bytes(result)


def authenticode(image: bytes, algorithm: str = "sha256") -> bytes:
    """The digest that firmware measures and that a signature covers; ``algorithm`` is sha256 or sha384."""
    headers = Headers.parse(image)
    checksum = headers.optional + _CHECKSUM
    certificate = headers.optional + _CERTIFICATE_DIRECTORY
    digest = hashlib.new(algorithm)
    digest.update(image[:checksum])
    digest.update(image[checksum + 4 : certificate])
    digest.update(image[certificate + 8 : headers.size_of_headers])
    hashed = headers.size_of_headers
    for section in sorted(headers.sections, key=lambda section: section.raw_offset):
        if section.raw_size:
            digest.update(image[section.raw_offset : section.raw_offset + section.raw_size])
            hashed += section.raw_size
    end = len(image) - headers.certificate_size
    if end > hashed:
        digest.update(image[hashed:end])
    if not headers.certificate_size:
        # A signature starts at a multiple of 8, so the digest is the same before and after signing.
        digest.update(bytes(-end % 8))
    return digest.digest()


def certificate(image: bytes) -> bytes:
    """The attribute certificate table, empty for an unsigned image."""
    headers = Headers.parse(image)
    return image[len(image) - headers.certificate_size :] if headers.certificate_size else b""


def with_certificate(image: bytes, certificate: bytes) -> bytes:
    """``image`` with ``certificate``, a WIN_CERTIFICATE, at its end. Raises ImageError if it has one already."""
    headers = Headers.parse(image)
    if headers.certificate_size:
        raise ImageError("The EFI program is signed already.", hint="Sign the unsigned one.")
    # Both the table and each entry start at a multiple of 8 bytes.
    result = bytearray(image + bytes(-len(image) % 8))
    entry = certificate + bytes(-len(certificate) % 8)
    struct.pack_into("<II", result, headers.optional + _CERTIFICATE_DIRECTORY, len(result), len(entry))
    return bytes(result + entry)


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
