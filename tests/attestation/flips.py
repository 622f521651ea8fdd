"""Which bits the tests flip. Every bit of the same evidence is flipped by `invoke test.exhaustive`."""

_EDGE = 12
_STRIDE = 5


def flipped(data: bytes, place: int) -> bytes:
    """``data`` with one bit of the byte at ``place`` flipped; ``place`` decides which."""
    changed = bytearray(data)
    changed[place] ^= 1 << place % 8
    return bytes(changed)


def places(start: int, end: int) -> list[int]:
    """The bytes to flip of those from ``start`` up to ``end``: all near both ends, where a range may be off by some,
    and every fifth between, so that no field of five bytes or more is left out.
    """
    return [at for at in range(start, end) if at < start + _EDGE or at >= end - _EDGE or at % _STRIDE == 0]
