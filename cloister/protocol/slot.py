"""The encryption of a result for one consumer's slot: C2SP chunked encryption, Cobblestone-256.

The ciphertext can be fetched any number of times; the key is released once. AES-256-GCM over chunks of 16 KiB, so
neither end holds a whole result in memory. The ciphertext begins with a salt and a commitment to the key, and its last
chunk is always short, which tells a truncated one (https://c2sp.org/chunked-encryption). The context is a label.
"""

from collections.abc import Iterator
from typing import BinaryIO

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from cloister.errors import ProofError

CHUNK = 16 * 1024
"""Bytes of plaintext that are encrypted together."""

TAG_SIZE = 16
HEADER_SIZE = 24 + 32
"""Bytes of salt and commitment."""

_PIECE = 1024 * 1024
_CONTEXT = b"cloister/v1/slot\0"


def ciphertext_size(plaintext_size: int) -> int:
    """Bytes of ciphertext for ``plaintext_size`` bytes."""
    return HEADER_SIZE + plaintext_size + TAG_SIZE * (plaintext_size // CHUNK + 1)


def encrypt(key: bytes, plaintext: BinaryIO, size: int) -> Iterator[bytes]:
    """The ciphertext in pieces, for ``size`` bytes read from ``plaintext``. The key is for this plaintext only."""
    cipher = Cobblestone256Encryptor(key, _CONTEXT)
    left = size
    while left:
        data = plaintext.read(min(_PIECE, left))
        if not data:
            raise EOFError(f"The plaintext ended {left} bytes early.")
        left -= len(data)
        yield cipher.update(data)
    yield cipher.finalize()


def decrypt(key: bytes, ciphertext: BinaryIO, size: int) -> Iterator[bytes]:
    """The plaintext in pieces, for ``size`` bytes read from ``ciphertext``. Raises ProofError for a changed one."""
    cipher = Cobblestone256Decryptor(key, _CONTEXT)
    left = size
    try:
        while left and (data := ciphertext.read(min(_PIECE, left))):
            left -= len(data)
            yield cipher.update(data)
        yield cipher.finalize()
    except InvalidTag as error:
        raise ProofError("The result cannot be decrypted: it was changed, or its key is of another result.") from error
