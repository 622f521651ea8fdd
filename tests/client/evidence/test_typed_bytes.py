"""Report data and nonces as a person types them."""

import pytest

from cloister.client.evidence.typed_bytes import parse_nonce, parse_report_data
from cloister.errors import InputError


@pytest.mark.parametrize(
    ("typed", "data"),
    [
        ("00ff", b"\0\xff"),
        ("0x00FF", b"\0\xff"),
        ("0X00 ff 01", b"\0\xff\1"),
        ("zero", bytes(64)),
        ("00" * 64, bytes(64)),
    ],
)
def test_hex_with_or_without_0x_is_read(typed: str, data: bytes) -> None:
    assert parse_report_data(typed) == data


@pytest.mark.parametrize("typed", ["", " ", "0x"])
def test_empty_value_is_an_error(typed: str) -> None:
    with pytest.raises(InputError, match="empty") as caught:
        parse_report_data(typed)
    assert "zero for 64 zero bytes" in (caught.value.hint or "")
    with pytest.raises(InputError, match="--nonce is empty"):
        parse_nonce(typed)


@pytest.mark.parametrize("typed", ["0", "0x123", "hello", "0x0x00", "zeros", "00zz", "q" * 1000])
def test_anything_else_is_an_error(typed: str) -> None:
    with pytest.raises(InputError, match="must be bytes in hexadecimal") as caught:
        parse_report_data(typed)
    assert len(caught.value.message) < 200


def test_word_for_zeros_does_not_make_a_nonce() -> None:
    assert parse_nonce("0x" + "0a" * 32) == b"\n" * 32
    with pytest.raises(InputError, match="--nonce must be bytes"):
        parse_nonce("zero")
