"""Reports, product lines and TCB versions have the specification's layout."""

from datetime import UTC, datetime

import pytest

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.products import ProductLine, TcbVersion, line_of
from cloister.attestation.snp.report import FIELDS, SIZE, PlatformBit, PolicyBit, SigningKey, SnpReport
from cloister.attestation.testkit import Processor

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
MILAN = Processor.create(AT)
TURIN = Processor.create(AT, ProductLine.TURIN)


def test_report_layout_has_no_gaps_and_no_overlaps() -> None:
    used = [offset + index for _, offset, size in FIELDS for index in range(size)]
    assert len(used) == len(set(used))
    free = set(range(SIZE)) - set(used)
    reserved = {*range(0x4C, 0x50), *range(0x18B, 0x1A0), 0x1EB, 0x1EF, *range(0x208, 0x2A0), *range(0x330, 0x4A0)}
    assert free == reserved


def test_every_field_is_parsed_from_its_offset() -> None:
    fields = {
        "guest_svn": 3,
        "policy": 0xAB1F | 1 << 17 | 1 << PolicyBit.SMT | 1 << PolicyBit.PAGE_SWAP_DISABLE,
        "family_id": b"f" * 16,
        "image_id": b"i" * 16,
        "vmpl": 2,
        "platform_info": 1 << PlatformBit.TSME_EN | 1 << 9,
        "key_info": SigningKey.VLEK << 2 | 3,
        "report_data": b"r" * 64,
        "measurement": b"m" * 48,
        "host_data": b"h" * 32,
        "id_key_digest": b"k" * 48,
        "author_key_digest": b"a" * 48,
        "report_id": b"1" * 32,
        "report_id_ma": b"2" * 32,
        "current_major": 7,
        "current_minor": 8,
        "current_build": 9,
        "committed_major": 4,
        "committed_minor": 5,
        "committed_build": 6,
        "launch_mitigations": 10,
        "current_mitigations": 11,
        "version": 5,
    }
    report = SnpReport.parse(MILAN.report(**fields))
    assert {name: getattr(report, name) for name in fields} == fields
    assert report.abi == (0xAB, 0x1F)
    assert report.policy_bits() == {PolicyBit.SMT, PolicyBit.PAGE_SWAP_DISABLE}
    assert report.platform_bits() == {PlatformBit.TSME_EN}
    assert report.unknown_platform_bits() == 1 << 9
    assert (report.signing_key, report.chip_key_masked, report.has_author_key) == (SigningKey.VLEK, True, True)
    assert (report.current_firmware, report.committed_firmware) == ((7, 8, 9), (4, 5, 6))
    assert report.signed == report.data[:0x2A0]


@pytest.mark.parametrize("version", [0, 1, 6, 0x100])
def test_unknown_versions_are_malformed(version: int) -> None:
    with pytest.raises(MalformedEvidence, match="only 2 to 5"):
        SnpReport.parse(MILAN.report(version=version))


@pytest.mark.parametrize(
    ("version", "offset"),
    [
        (3, 0x4C),
        (2, 0x188),
        (2, 0x18A),
        (3, 0x18B),
        (5, 0x19F),
        (3, 0x1EB),
        (3, 0x1EF),
        (4, 0x1F8),
        (4, 0x207),
        (5, 0x208),
        (5, 0x29F),
        (5, 0x330),
        (5, 0x49F),
    ],
)
def test_reserved_fields_of_a_version_must_be_zero(version: int, offset: int) -> None:
    data = bytearray(MILAN.report(version=version))
    SnpReport.parse(bytes(data))
    data[offset] = 1
    with pytest.raises(MalformedEvidence, match="not zero"):
        SnpReport.parse(bytes(data))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"policy": 0}, "bit 17"),
        ({"policy": 1 << 17 | 1 << 26}, "bits 26 to 63"),
        ({"policy": 1 << 17 | 1 << 63}, "bits 26 to 63"),
        ({"key_info": 1 << 5}, "bits 5 to 31"),
        ({"key_info": 2 << 2}, "signing key 2"),
        ({"signature_algorithm": 2}, "only 1 is known"),
        ({"reported_tcb": bytes((1, 0, 1, 0, 0, 0, 1, 1))}, "reserved byte"),
        ({"launch_tcb": bytes((1, 0, 0, 0, 0, 1, 1, 1))}, "reserved byte"),
    ],
)
def test_reserved_bits_and_values_are_malformed(fields: dict[str, int], match: str) -> None:
    with pytest.raises(MalformedEvidence, match=match):
        SnpReport.parse(MILAN.report(**fields))


def test_turin_chip_id_has_eight_bytes() -> None:
    report = SnpReport.parse(TURIN.report())
    assert report.chip(ProductLine.TURIN) == TURIN.chip_id == bytes(range(1, 9))
    with pytest.raises(MalformedEvidence, match="longer than 8 bytes"):
        SnpReport.parse(TURIN.report(chip_id=bytes(8) + b"1"))


@pytest.mark.parametrize(
    ("family", "model", "line"),
    [
        (0x19, 0x01, ProductLine.MILAN),
        (0x19, 0x0F, ProductLine.MILAN),
        (0x19, 0x11, ProductLine.GENOA),
        (0x19, 0x20, None),
        (0x19, 0x9F, None),
        (0x19, 0xA0, ProductLine.GENOA),
        (0x19, 0xAF, ProductLine.GENOA),
        (0x19, 0xB0, None),
        (0x1A, 0x02, ProductLine.TURIN),
        (0x1A, 0x11, ProductLine.TURIN),
        (0x1A, 0x12, None),
        (0x17, 0x31, None),
    ],
)
def test_family_and_model_identify_the_product_line(family: int, model: int, line: ProductLine | None) -> None:
    assert line_of(family, model) is line


def test_tcb_version_layout_depends_on_the_product_line() -> None:
    old = TcbVersion(boot_loader=1, tee=2, snp=3, microcode=4)
    assert old.encode(ProductLine.MILAN) == bytes((1, 2, 0, 0, 0, 0, 3, 4))
    assert TcbVersion.parse(old.encode(ProductLine.GENOA), ProductLine.GENOA, "tcb") == old
    new = TcbVersion(boot_loader=1, tee=2, snp=3, microcode=4, fmc=5)
    assert new.encode(ProductLine.TURIN) == bytes((5, 1, 2, 3, 0, 0, 0, 4))
    assert TcbVersion.parse(new.encode(ProductLine.TURIN), ProductLine.TURIN, "tcb") == new


def test_tcb_components_are_compared_one_by_one() -> None:
    minimum = TcbVersion(boot_loader=1, tee=1, snp=1, microcode=1, fmc=1)
    assert TcbVersion(boot_loader=1, tee=1, snp=1, microcode=1, fmc=1).below(minimum) == ()
    assert TcbVersion(boot_loader=9, tee=0, snp=9, microcode=0, fmc=9).below(minimum) == ("tee", "microcode")
    assert TcbVersion(boot_loader=9, tee=9, snp=9, microcode=9).below(minimum) == ("fmc",)
