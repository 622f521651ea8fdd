"""Finds what may be dm-crypt's key in a machine's memory, to see later that it is gone."""

import mmap
import re
from pathlib import Path

_DRIVER = re.compile(rb"aegis128-[a-z0-9]+\0")
"""An implementation: in C or with the processor's instructions; after two underscores if another one calls it.

The expression begins with what is searched quickly in gigabytes."""

_NAMES = (b"aegis128", b"__aegis128")
_NAME_SIZE = 128
_BEFORE_NAME = 56
"""Bytes of ``struct crypto_alg`` (include/linux/crypto.h) before ``cra_name``, which ``cra_driver_name`` follows."""

_PAGE = 4096
_AHEAD = 32
"""The cipher's context, aligned to 16 bytes, follows its ``struct crypto_tfm``, whose last member points to
``struct crypto_alg``."""

_TRANSFORM = re.compile(rb"\x01\0{3}.{4}\xff{4}.{4}(?:\0{8}|.{4}\xff{4})", re.DOTALL)
"""``struct crypto_tfm`` before that member: ``refcnt`` of 1, ``crt_flags``, ``node`` (none), ``exit`` or null."""

_FIELDS = 24
"""Its size."""

_KEY = 16
_MANY = 12


def candidates(memory: Path) -> list[bytes]:
    """The random-looking values after each pointer to the algorithm: one of them is the key, which begins its context.

    dm-crypt wipes its own copy of a key from a keyring (drivers/md/dm-crypt.c, crypt_ctr_cipher).
    """
    found = set()
    with memory.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        starts = [driver.start() for driver in _DRIVER.finditer(content)]
        places = {start - _NAME_SIZE - (2 if content[start - 2 : start] == b"__" else 0) for start in starts}
        lows = {
            (name - _BEFORE_NAME) % _PAGE
            for name in places
            if name >= 0 and content[name : name + _NAME_SIZE].rstrip(b"\0") in _NAMES
        }
        for low in sorted(lows):
            # Modules are mapped page by page at 0xffffffffc0000000 and above.
            second = b"".join(re.escape(bytes([high << 4 | low >> 8])) for high in range(16))
            pointer = re.escape(bytes([low & 0xFF])) + b"[" + second + rb"][\x00-\xff][\xc0-\xff]\xff{4}"
            for place in re.finditer(pointer, content):
                start = place.start()
                if start % 8 == 0 and start >= _FIELDS and _TRANSFORM.fullmatch(content[start - _FIELDS : start]):
                    found |= _random_looking(content[place.end() : place.end() + _AHEAD])
    return sorted(found)


def _random_looking(area: bytes) -> set[bytes]:
    values = {area[start : start + _KEY] for start in range(0, len(area) - _KEY + 1, 8)}
    return {value for value in values if len(set(value)) >= _MANY and b"\xff\xff" not in value and value.count(0) < 2}
