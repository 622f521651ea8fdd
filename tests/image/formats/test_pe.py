"""PE files: a loader finds appended sections, and the Authenticode digest is the one that firmware computes."""

import hashlib

import pytest

from image.errors import ImageError
from image.formats import pe
from tests.image.small_programs import STUB_SBAT, efi_program

ADDED = [(".osrel", b"ID=test\n"), (".linux", b"k" * 1000)]


def test_appended_sections_are_read_back_with_their_names_and_sizes() -> None:
    image = pe.append_sections(efi_program(), ADDED)

    assert pe.sections(image) == {".text": b"\xc3" * 100, ".sbat": STUB_SBAT, **dict(ADDED)}


def test_appended_sections_overlap_neither_in_the_file_nor_in_memory() -> None:
    image = pe.append_sections(efi_program(), ADDED)

    assert [(s.virtual_address, s.raw_offset, s.raw_size) for s in pe.Headers.parse(image).sections] == [
        (0x1000, 0x400, 0x200),
        (0x2000, 0x600, 0x200),
        (0x3000, 0x800, 0x200),
        (0x4000, 0xA00, 0x400),
    ]


def test_program_without_space_in_its_headers_is_rejected() -> None:
    with pytest.raises(ImageError, match="no space for 16 more sections"):
        pe.append_sections(efi_program(), [(f".s{index}", b"x") for index in range(16)])


def test_authenticode_digest_excludes_only_checksum_and_certificate_entry() -> None:
    image = efi_program()
    optional = 64 + 24
    kept = image[: optional + 64] + image[optional + 68 : optional + 144] + image[optional + 152 :]

    assert pe.authenticode(image) == hashlib.sha256(kept).digest()
    assert pe.authenticode(image, "sha384") == hashlib.sha384(kept).digest()


def test_the_authenticode_digest_of_the_small_program_is_known() -> None:
    assert pe.authenticode(efi_program()).hex() == "1a8ed5a83aa7881b3f704c44cb9548a4674e06bb2bbac57a04084f6e3b7dd25f"


def test_bytes_after_the_last_section_are_digested_up_to_a_multiple_of_eight() -> None:
    image = efi_program()

    assert pe.authenticode(image + b"abc") == pe.authenticode(image + b"abc\0\0\0\0\0")
    assert pe.authenticode(image + b"abc") != pe.authenticode(image)


@pytest.mark.parametrize("image", [b"", b"MZ", b"\x7fELF" + bytes(200), efi_program()[:100]])
def test_invalid_efi_program_is_an_error(image: bytes) -> None:
    with pytest.raises(ImageError):
        pe.sections(image)
