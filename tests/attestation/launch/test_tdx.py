"""MRTD of a firmware: the operations of a TDX module, and which files are refused."""

import hashlib
import struct

import pytest

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.launch.tdx import Order, RegionKind, TdFirmware
from cloister.attestation.testkit.firmware import GUIDS, TD_SECTIONS, encode_firmware

GOOD = encode_firmware(td=TD_SECTIONS)


def operations(data: bytes, *, by_page: bool) -> bytes:
    """MRTD, written out once more from the specification of TDH.MEM.PAGE.ADD and TDH.MR.EXTEND."""
    done = b""
    for offset, _, address, size, _, attributes in TD_SECTIONS:
        adds, extends = [], []
        for page in range(0, size, 4096):
            adds.append(b"MEM.PAGE.ADD\0\0\0\0" + struct.pack("<Q", address + page) + bytes(104))
            extends.append(
                b"".join(
                    b"MR.EXTEND\0\0\0\0\0\0\0"
                    + struct.pack("<Q", address + page + chunk)
                    + bytes(104)
                    + data[offset + page + chunk :][:256]
                    for chunk in range(0, 4096, 256)
                )
                if attributes & 1
                else b""
            )
        done += b"".join(map(bytes.__add__, adds, extends)) if by_page else b"".join(adds + extends)
    return hashlib.sha384(done).digest()


@pytest.mark.parametrize("order", Order)
def test_mrtd_has_every_page_and_the_contents_of_the_code(order: Order) -> None:
    assert TdFirmware.parse(GOOD).mrtd(order) == operations(GOOD, by_page=order is Order.BY_PAGE)


def test_orders_differ() -> None:
    firmware = TdFirmware.parse(GOOD)
    assert len({firmware.mrtd(order) for order in Order}) == len(Order)


def test_variables_are_not_in_mrtd_and_code_is() -> None:
    firmware = TdFirmware.parse(GOOD).mrtd()
    changed = bytearray(GOOD)
    changed[0x800] ^= 1
    assert TdFirmware.parse(bytes(changed)).mrtd() == firmware
    changed[0x2000] ^= 1
    assert TdFirmware.parse(bytes(changed)).mrtd() != firmware


def test_variables_are_those_of_the_file() -> None:
    firmware = TdFirmware.parse(GOOD)
    assert firmware.configuration_volume == GOOD[:0x1000]
    assert [region.kind for region in firmware.regions][:2] == [RegionKind.BOOT_VOLUME, RegionKind.CONFIGURATION_VOLUME]
    assert TdFirmware.parse(encode_firmware(td=TD_SECTIONS[:1])).configuration_volume == b""


def section(**changes: int) -> bytes:
    names = ("offset", "stored", "address", "size", "kind", "attributes")
    one = dict(zip(names, TD_SECTIONS[0], strict=True)) | changes
    return encode_firmware(td=((*(one[name] for name in names),),))  # ty: ignore[invalid-argument-type]


MALFORMED = {
    "no table": (bytes(8192), "does not end like OVMF"),
    "no TDX metadata": (encode_firmware(), "no TDX metadata"),
    "no signature": (GOOD.replace(b"TDVF", b"TDVG"), "does not begin with TDVF"),
    "no sections": (encode_firmware(td=()), "0 sections"),
    "another version": (GOOD.replace(b"TDVF\x90\0\0\0\1", b"TDVF\x90\0\0\0\2"), "version 2"),
    "another length": (GOOD.replace(b"TDVF\x90", b"TDVF\x91"), "145 bytes"),
    "unknown kind": (section(kind=9), "kind 0x9"),
    "unknown attribute": (section(attributes=4), "attributes 0x4"),
    "half of a page": (section(size=0x3800), "0x3000|in 14336 bytes"),
    "more data than memory": (section(size=0x1000), "12288 in 4096"),
    "no memory": (section(size=0, stored=0), "0 in 0"),
    "huge": (section(size=1 << 40), "bytes at"),
    "many that are large": (encode_firmware(td=((0, 0, 0, 1 << 25, 3, 0),) * 3), "more than 16384 pages together"),
    "half of OVMF": (section(offset=0x84000), "half of OVMF"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_firmware_is_refused(name: str) -> None:
    data, words = MALFORMED[name]
    with pytest.raises(MalformedEvidence, match=words):
        TdFirmware.parse(data)


def test_table_of_guids_leads_to_both_technologies() -> None:
    assert GUIDS["td"].bytes_le in GOOD
    assert GUIDS["metadata"].bytes_le in GOOD
    TdFirmware.parse(encode_firmware(None, td=TD_SECTIONS))
