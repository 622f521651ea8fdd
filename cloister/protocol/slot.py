"""The encryption of a result for one consumer's slot.

The ciphertext can be fetched any number of times; the key is released once. AES-256-GCM in segments of 1 MiB, so that
neither end holds a whole result in memory: nonce = index of the segment (96 bits, big endian), associated data = label
and whether it is the last segment. Key and nonce are never used twice: the key is made for one slot and one plaintext.
"""

from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloister.errors import ProofError

SEGMENT = 1024 * 1024
TAG_SIZE = 16
_LABEL = b"cloister/v1/slot\0"


def ciphertext_size(plaintext_size: int) -> int:
    """Bytes of ciphertext for ``plaintext_size`` bytes (an empty plaintext is one empty segment)."""
    segments = max(1, -(-plaintext_size // SEGMENT))
    return plaintext_size + segments * TAG_SIZE


def encrypt(key: bytes, plaintext: BinaryIO, size: int) -> Iterator[bytes]:
    """The ciphertext's segments, for ``size`` bytes read from ``plaintext``."""
    cipher = AESGCM(key)
    index, left = 0, size
    while True:
        take = min(SEGMENT, left)
        data = plaintext.read(take)
        if len(data) != take:
            raise EOFError(f"The plaintext ended {left - len(data)} bytes early.")
        left -= take
        yield cipher.encrypt(index.to_bytes(12, "big"), data, _LABEL + bytes([left == 0]))
        if left == 0:
            return
        index += 1


def decrypt(key: bytes, ciphertext: BinaryIO, size: int) -> Iterator[bytes]:
    """The plaintext's segments, for ``size`` bytes read from ``ciphertext``. Raises ProofError for a changed one."""
    cipher = AESGCM(key)
    index, left = 0, size
    while True:
        take = min(SEGMENT + TAG_SIZE, left)
        data = ciphertext.read(take)
        left -= take
        try:
            yield cipher.decrypt(index.to_bytes(12, "big"), data, _LABEL + bytes([left == 0]))
        except InvalidTag as error:
            raise ProofError(f"Segment {index} of the result cannot be decrypted: it was changed.") from error
        if left == 0:
            return
        index += 1
