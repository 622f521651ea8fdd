"""RECORD: the hash of every file of a wheel.

Source: PyPA, "Recording installed projects", "The RECORD file", and "Binary distribution format": a hash must be
SHA-256 or better.
"""

import base64
import binascii
import csv
import functools
import hashlib
import io
from dataclasses import dataclass
from typing import IO

from cloister.protocol.wheels.errors import BundleError

MAX_BYTES = 64 * 1024 * 1024
MAX_PATHS = 500_000
"""Files that RECORD names. A wheel has at most half as many; some name files that are made when it is installed."""

SMALLEST_DIGEST = 32
"""Bytes of the shortest digest that is accepted: 256 bits."""


@dataclass(frozen=True)
class RecordedHash:
    """The hash of one file: an algorithm of hashlib and the digest."""

    algorithm: str
    digest: bytes


@functools.cache
def algorithms() -> frozenset[str]:
    """The algorithms that are accepted: those of every Python, with a digest of at least 256 bits."""
    return frozenset(name for name in hashlib.algorithms_guaranteed if hashlib.new(name).digest_size >= SMALLEST_DIGEST)


def read(data: IO[bytes], wheel: str) -> dict[str, str]:
    """The text ``algorithm=digest`` of each path; empty for a file without one. Raises BundleError."""
    found: dict[str, str] = {}
    try:
        with io.TextIOWrapper(data, encoding="utf-8", newline="") as text:
            for row in csv.reader(text):
                if not row:
                    continue
                path, value = row[0], row[1] if len(row) > 1 else ""
                if found.setdefault(path, value) != value:
                    raise BundleError(f"{wheel}: RECORD has two hashes of {path[:80]!r}.")
                if len(found) > MAX_PATHS:
                    raise BundleError(f"{wheel}: RECORD names more than {MAX_PATHS} files.")
    except (csv.Error, UnicodeDecodeError) as error:
        raise BundleError(f"{wheel}: RECORD cannot be read: {error}.") from error
    return found


def parse(value: str, path: str, wheel: str) -> RecordedHash:
    """The hash that RECORD has for ``path``. Raises BundleError if it is missing, malformed or too short."""
    algorithm, _, text = value.partition("=")
    if not text:
        raise BundleError(f"{wheel}: RECORD has no hash of {path[:80]!r}.")
    if algorithm not in algorithms():
        raise BundleError(
            f"{wheel}: RECORD has a hash of kind {algorithm[:40]!r} for {path[:80]!r}; one of at least 256 bits "
            f"is needed ({', '.join(sorted(algorithms()))})."
        )
    text = text.rstrip("=")
    try:
        digest = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BundleError(f"{wheel}: RECORD has a malformed hash of {path[:80]!r}.") from error
    if len(digest) != hashlib.new(algorithm).digest_size:
        raise BundleError(f"{wheel}: RECORD has a malformed hash of {path[:80]!r}.")
    return RecordedHash(algorithm, digest)
