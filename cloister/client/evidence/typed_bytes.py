"""Bytes as a person types them: what evidence must be bound to, and nonces."""

import re

from cloister.errors import InputError

ZERO = "zero"
"""The word for 64 zero bytes: what a report has whose guest bound it to nothing."""

NONCE_SIZE = 32
"""Bytes of a session's nonce."""

_REPORT_DATA = 64
_HEX = re.compile("(?:[0-9A-Fa-f]{2})+")
_SHOWN = 32


def parse_report_data(typed: str) -> bytes:
    """The bytes of a hexadecimal text, with or without ``0x``, or of the word ``zero``. Raises InputError."""
    if typed.strip() == ZERO:
        return bytes(_REPORT_DATA)
    hint = f"write {ZERO} for {_REPORT_DATA} zero bytes; `printf TEXT | od -An -tx1` prints a text in hexadecimal"
    return _hex(typed, "--report-data", f"Omit it to accept any, or {hint}.")


def parse_nonce(typed: str) -> bytes:
    """The bytes of a session's nonce in hexadecimal, with or without ``0x``. Raises InputError."""
    nonce = _hex(typed, "--nonce", "Omit it for random bytes.")
    if len(nonce) != NONCE_SIZE:
        raise InputError(f"--nonce has {len(nonce)} bytes; a session's nonce has {NONCE_SIZE}.")
    return nonce


def _hex(typed: str, option: str, hint: str) -> bytes:
    text = "".join(typed.split())
    digits = text[2:] if text[:2] in ("0x", "0X") else text
    if not digits:
        raise InputError(f"{option} is empty.", hint=hint)
    if not _HEX.fullmatch(digits):
        start = f"{digits[:_SHOWN]}..." if len(digits) > _SHOWN else digits
        raise InputError(f"{option} must be bytes in hexadecimal, two digits each, not {start!r}.", hint=hint)
    return bytes.fromhex(digits)
