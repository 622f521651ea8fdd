"""A slot is what the specification of chunked encryption says, and opens only unchanged, whole and with its key."""

import io
import os

import pytest
from cryptography import cobblestone
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from cloister.errors import ProofError
from cloister.protocol import slot

PART = slot.CHUNK + slot.TAG_SIZE
SIZES = [0, 1, slot.CHUNK - 1, slot.CHUNK, slot.CHUNK + 1, 1 << 20, (1 << 20) + 1, 3 * (1 << 20) + 7]


def _encrypted(key, data):
    return b"".join(slot.encrypt(key, io.BytesIO(data), len(data)))


def _decrypted(key, ciphertext):
    return b"".join(slot.decrypt(key, io.BytesIO(ciphertext), len(ciphertext)))


@pytest.mark.parametrize("size", SIZES)
def test_slot_decrypts_to_its_plaintext(size):
    key, data = os.urandom(32), os.urandom(size)
    ciphertext = _encrypted(key, data)
    assert len(ciphertext) == slot.ciphertext_size(size)
    assert _decrypted(key, ciphertext) == data


@pytest.mark.parametrize("size", SIZES[:5])
def test_slot_is_what_the_specification_says(size):
    key, data = os.urandom(32), os.urandom(size)
    ciphertext = _encrypted(key, data)
    salt, commitment, rest = ciphertext[:24], ciphertext[24:56], ciphertext[56:]
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + b"cloister/v1/slot\0"
    derived = HKDFExpand(hashes.SHA512(), 32 + 12 + 32, info).derive(key)
    assert commitment == derived[44:]
    found = b""
    for number in range(size // slot.CHUNK + 1):
        nonce = (int.from_bytes(derived[32:44], "big") ^ number).to_bytes(12, "big")
        found += AESGCM(derived[:32]).decrypt(nonce, rest[number * PART : (number + 1) * PART], None)
    assert found == data


def test_changed_shortened_or_reordered_slot_is_rejected():
    key = os.urandom(32)
    whole = _encrypted(key, os.urandom(2 * slot.CHUNK + 5))
    head, first, second = whole[:56], whole[56 : 56 + PART], whole[56 + PART : 56 + 2 * PART]
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (0, 23, 24, 55, 56, 56 + PART, -2)]
    other = _encrypted(key, os.urandom(5))
    wrong = [
        *flipped,
        *(whole[:size] for size in (0, 1, 24, 55, 56, 57, 56 + PART, 56 + 2 * PART, len(whole) - 1)),
        head + second + first + whole[56 + 2 * PART :],
        head + first + first + whole[56 + 2 * PART :],
        head + whole[56 + PART :],
        whole + b"\0",
        whole + whole[56:],
        other[:56] + whole[56:],
    ]
    for ciphertext in wrong:
        with pytest.raises(ProofError, match="cannot be decrypted"):
            _decrypted(key, ciphertext)
    with pytest.raises(ProofError, match="cannot be decrypted"):
        _decrypted(os.urandom(32), whole)
    cipher = cobblestone.Cobblestone256Encryptor(key, b"cloister/v1/other\0")
    with pytest.raises(ProofError, match="cannot be decrypted"):
        _decrypted(key, cipher.update(b"data") + cipher.finalize())


def test_plaintext_that_ends_early_is_not_encrypted():
    with pytest.raises(EOFError, match="3 bytes early"):
        list(slot.encrypt(os.urandom(32), io.BytesIO(b"ab"), 5))
