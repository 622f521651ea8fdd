"""What an IGVM file measures, and which files are refused."""

import hashlib
import struct

import pytest

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.launch.igvm import SEV_SNP, TDX, IgvmFile
from cloister.attestation.launch.snp import NOT_MEASURED, PageType, replay
from cloister.attestation.testkit.igvm import area, context, data_offset, encode_igvm, insert, page, platform

PLATFORMS = [platform(1, SEV_SNP), platform(2, TDX)]
CODE, STATE = b"\x90" * 4096, b"\x55" * 4096


def headers(at: int) -> list[tuple[int, bytes]]:
    return [
        *PLATFORMS,
        area(7, 0x2000),
        page(0x1000, at),
        page(0x2000),
        page(0x3000, at, flags=2),
        page(0x4000, at, flags=4),
        page(0x5000, at, purpose=1, mask=1),
        page(0x6000, at, purpose=2, mask=1),
        page(0x7000, at, mask=2),
        insert(0x8000, 7),
        context(0xFFFFFFFFF000, at + 4096),
    ]


GOOD = encode_igvm(headers(data_offset(headers(0))), CODE + STATE)


def digest(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


@pytest.mark.parametrize("zero_pages", [False, True], ids=["Hyper-V", "QEMU"])
def test_launch_digest_has_the_files_pages_in_its_order(zero_pages: bool) -> None:
    pages = [(one.kind, one.address, one.contents) for one in IgvmFile.parse(GOOD).measured(zero_pages=zero_pages)]
    zeros = (PageType.ZERO, NOT_MEASURED) if zero_pages else (PageType.NORMAL, digest(bytes(4096)))
    assert pages == [
        (PageType.NORMAL, 0x1000, digest(CODE)),
        (zeros[0], 0x2000, zeros[1]),
        (PageType.UNMEASURED, 0x3000, NOT_MEASURED),
        (PageType.SECRETS, 0x5000, NOT_MEASURED),
        (PageType.CPUID, 0x6000, NOT_MEASURED),
        (PageType.UNMEASURED, 0x8000, NOT_MEASURED),
        (PageType.UNMEASURED, 0x9000, NOT_MEASURED),
        (PageType.VMSA, 0xFFFFFFFFF000, digest(STATE)),
    ]


def test_mrtd_has_the_files_pages_in_its_order() -> None:
    def added(address: int) -> bytes:
        return b"MEM.PAGE.ADD\0\0\0\0" + struct.pack("<Q", address) + bytes(104)

    def measured(address: int, contents: bytes) -> bytes:
        chunks = (
            b"MR.EXTEND\0\0\0\0\0\0\0" + struct.pack("<Q", address + place) + bytes(104) + contents[place : place + 256]
            for place in range(0, 4096, 256)
        )
        return added(address) + b"".join(chunks)

    done = measured(0x1000, CODE) + measured(0x2000, bytes(4096)) + added(0x3000) + measured(0x7000, CODE)
    assert IgvmFile.parse(GOOD).mrtd() == digest(done + added(0x8000) + added(0x9000))


def test_values_are_those_of_microsofts_crate() -> None:
    """igvm 0.4.0 at commit e6c3ff1c (generate_snp_measurement, generate_tdx_measurement), for these very bytes."""

    def rows(at: int) -> list[tuple[int, bytes]]:
        return [
            *PLATFORMS,
            (0x101, struct.pack("<QII", 0x30000, 1, 0)),
            (0x101, struct.pack("<QII", 0, 2, 0)),
            area(0, 8192),
            (0x307, struct.pack("<II", 0, 0)),
            page(0x1000, at),
            page(0x2000),
            page(0x3000, at, flags=2),
            page(0x5000, at, purpose=1, mask=1),
            page(0x6000, at, purpose=2, mask=1),
            page(0x7000, at, mask=2),
            insert(0x8000, 0),
        ]

    file = IgvmFile.parse(encode_igvm(rows(data_offset(rows(0))), CODE))
    assert replay(file.measured(zero_pages=False)).hex() == (
        "00cbc4eed7bfe84906d115ac01b54c48abc06d1ccbd0f30b32a1e0768e7503a4e970a8ef663bf6be6028fa0229f39da7"
    )
    assert file.mrtd().hex() == (
        "5b45c64dd71923d655a8140d0e5975519a753873327c6dff80d9aa718dc6a2fb027f00ed2ab83fb3a53537a904f249d4"
    )


def test_large_page_is_measured_as_small_ones() -> None:
    def file(flags: int) -> IgvmFile:
        rows = [platform(1, SEV_SNP), page(0x200000, 1, mask=1, flags=flags)]
        return IgvmFile.parse(encode_igvm([rows[0], page(0x200000, data_offset(rows), mask=1, flags=flags)], large))

    large = CODE * 511 + STATE
    pages = list(file(1).measured(zero_pages=False))
    assert [len(pages), pages[1].address, pages[-1].contents] == [512, 0x201000, digest(STATE)]
    assert len(list(file(0).measured(zero_pages=False))) == 1


def test_pages_of_other_platforms_are_not_kept() -> None:
    """A file of a few kilobytes has 262,144 for each of 32 platforms: a minute, and more than a gigabyte."""
    rows = [platform(1, SEV_SNP), *(platform(1 << n, 3 + n) for n in range(1, 32)), page(0x1000, mask=0xFFFFFFFF)]
    assert {number: len(pages) for number, pages in IgvmFile.parse(encode_igvm(rows)).pages.items()} == {
        SEV_SNP: 1,
        **dict.fromkeys(range(4, 35), 0),
    }


def test_second_version_of_the_format_is_read() -> None:
    rows = [platform(1, SEV_SNP), page(0x1000, mask=1)]
    first, second = (IgvmFile.parse(encode_igvm(rows, version=version)) for version in (1, 2))
    assert first == second


def test_replay_is_that_of_every_launch() -> None:
    pages = list(IgvmFile.parse(GOOD).measured(zero_pages=False))
    assert replay(pages[1:], pages[0].extend(bytes(48))) == replay(pages)


MALFORMED = {
    "empty": (b"", "is not IGVM"),
    "cut in the header": (GOOD[:20], "is not IGVM"),
    "cut": (GOOD[:-1], "total_file_size"),
    "another version": (GOOD[:4] + struct.pack("<I", 3) + GOOD[8:], "format_version"),
    "changed header": (GOOD[:40] + b"\xff" + GOOD[41:], "checksum"),
    "headers beyond the file": (GOOD[:12] + struct.pack("<I", 1 << 30) + GOOD[16:], "variable_header_size"),
    "no platform": (encode_igvm([page(0x1000)]), "are missing"),
    "a platform twice": (encode_igvm([platform(1, SEV_SNP), platform(2, SEV_SNP)]), "twice"),
    "a mask of two": (encode_igvm([platform(3, SEV_SNP)]), "mask 0x3"),
    "unknown header": (encode_igvm([*PLATFORMS, (0x3FF, bytes(8))]), "unknown type 0x3ff"),
    "header of another size": (encode_igvm([(0x302, bytes(20))]), "type 0x302 with 20 bytes"),
    "header beyond the headers": (encode_igvm([(0x80000001, b"")] * 2)[:-4], "total_file_size"),
    "unknown flag": (encode_igvm([*PLATFORMS, page(0x1000, flags=8)]), "flags 0x8"),
    "unknown kind of page": (encode_igvm([*PLATFORMS, page(0x1000, purpose=4)]), "type 0x4"),
    "data beyond the file": (encode_igvm([*PLATFORMS, page(0x1000, 100)]), "beyond the file"),
    "area that is not there": (encode_igvm([*PLATFORMS, insert(0x1000, 1)]), "the area 1"),
    "huge area": (encode_igvm([*PLATFORMS, area(1, 1 << 60), insert(0x1000, 1)]), "an area of"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_file_is_refused(name: str) -> None:
    data, words = MALFORMED[name]
    with pytest.raises(MalformedEvidence, match=words):
        IgvmFile.parse(data)


def test_unknown_optional_header_is_skipped() -> None:
    assert IgvmFile.parse(encode_igvm([platform(1, SEV_SNP), (0x80000399, bytes(5))])).pages == {SEV_SNP: ()}


def test_file_for_other_platforms_has_no_values() -> None:
    file = IgvmFile.parse(encode_igvm([platform(1, 0)]))
    with pytest.raises(MalformedEvidence, match="do not include SEV-SNP"):
        list(file.measured(zero_pages=False))
    with pytest.raises(MalformedEvidence, match="do not include TDX"):
        file.mrtd()
