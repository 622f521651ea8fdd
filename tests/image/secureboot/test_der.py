"""The DER writer, against the reader and writer of `cryptography`."""

import pytest
from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from image.secureboot import der


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 1 << 64, (1 << 160) - 1])
def test_integer_is_encoded(number: int) -> None:
    assert der.integer(number) == asn1.encode_der(number)


@pytest.mark.parametrize(
    "dotted", ["1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "1.3.6.1.4.1.311.2.1.4", "2.5.4.3"]
)
def test_object_identifier_is_encoded(dotted: str) -> None:
    assert der.identifier(dotted) == asn1.encode_der(ObjectIdentifier(dotted))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_octet_string_of_any_length_is_encoded_and_read_back(size: int) -> None:
    element = der.encode(der.OCTET_STRING, bytes(size))

    assert element == asn1.encode_der(bytes(size))
    assert der.contents(element) == bytes(size)
    assert der.split(element + b"rest") == (element, b"rest")


def test_members_of_a_set_are_sorted() -> None:
    assert der.set_of(der.integer(2), der.integer(1)) == asn1.encode_der(asn1.SetOf([1, 2]))
