"""The small DER reader accepts one encoding of each value."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.x509 import der
from cloister.attestation.x509.der import DerReader


def read(data: bytes, kind: str) -> object:
    reader = DerReader(data, "value")
    value = getattr(reader, kind)("field")
    reader.end()
    return value


def encoded(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1)
    return bytes((der.INTEGER, len(content))) + content


@given(st.integers(0, 2**500))
def test_integers_round_trip(value: int) -> None:
    assert read(encoded(value), "unsigned") == value


@pytest.mark.parametrize(
    ("data", "kind", "value"),
    [
        ("0600", "oid", None),
        ("06092a864886f70d0101", "oid", None),  # cut
        ("06092a864886f70d01010a", "oid", "1.2.840.113549.1.1.10"),
        ("0603551d0f", "oid", "2.5.29.15"),
        ("0603883703", "oid", "2.999.3"),
        ("06022a80", "oid", None),
        ("06032a8001", "oid", None),
        ("0682177229" + "ff" * 6000 + "7f", "oid", None),  # a number that Python will not write
        ("0302000f", "bits", b"\x0f"),
        ("0302010e", "bits", None),
        ("0300", "bits", None),
        ("170d3236303330313132303030305a", "time", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("170d3530303330313132303030305a", "time", datetime(1950, 3, 1, 12, tzinfo=UTC)),
        ("180f32303530303330313132303030305a", "time", datetime(2050, 3, 1, 12, tzinfo=UTC)),
        ("170b323630333031313230305a", "time", None),
        ("170d3236303333323132303030305a", "time", None),
        ("170d3236303330313132303030302b", "time", None),
        ("020100", "unsigned", 0),
        ("0200", "unsigned", None),
        ("020180", "unsigned", None),
        ("02020001", "unsigned", None),
        ("0202008000", "unsigned", None),  # something follows
        ("0281017f", "unsigned", None),
        ("0280017f0000", "unsigned", None),
        ("02840000000101", "unsigned", None),
        ("0241" + "01" * 65, "unsigned", None),
    ],
)
def test_every_value_has_one_encoding(data: str, kind: str, value: object) -> None:
    if value is None:
        with pytest.raises(MalformedEvidence):
            read(bytes.fromhex(data), kind)
    else:
        assert read(bytes.fromhex(data), kind) == value


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_lengths_must_be_in_shortest_form(size: int) -> None:
    content = bytes(size)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    prefix = length if size < 0x80 else bytes((0x80 | len(length),)) + length
    assert DerReader(b"\x04" + prefix + content, "value").element(der.OCTET_STRING, "field") == content
    longer = bytes((0x80 | len(length) + 1,)) + b"\0" + length
    with pytest.raises(MalformedEvidence):
        DerReader(b"\x04" + longer + content, "value").element(der.OCTET_STRING, "field")


@pytest.mark.parametrize(
    "use",
    [
        lambda reader: reader.element(der.SEQUENCE, "field"),
        lambda reader: reader.text(der.IA5_STRING, "field"),
        lambda reader: reader.inside(der.SEQUENCE, "field"),
    ],
)
def test_unexpected_tag_is_malformed_and_named(use: Callable[[DerReader], object]) -> None:
    with pytest.raises(MalformedEvidence, match=r"value\.field"):
        use(DerReader(b"\x04\x00", "value"))


def test_reader_stops_at_the_end() -> None:
    inner = DerReader(bytes.fromhex("3003020105020106"), "value").inside(der.SEQUENCE, "list")
    assert inner.unsigned("first") == 5
    assert not inner.next_is(der.INTEGER)
    with pytest.raises(MalformedEvidence):
        inner.unsigned("second")
