"""Which keys may sign, and that their signatures verify and nothing else does."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cloister.protocol import signingkey
from cloister.protocol.canonical import FormatError

_KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 3072),
}


@pytest.mark.parametrize("kind", sorted(_KEYS))
def test_each_supported_key_type_verifies_its_signatures(kind):
    key = _KEYS[kind]()
    spki = signingkey.spki_of(key.public_key())
    signature = signingkey.sign(key, b"message")
    assert signingkey.verify(spki, signature, b"message")
    assert not signingkey.verify(spki, signature, b"massage")
    assert not signingkey.verify(spki, signature[:-1] + bytes([signature[-1] ^ 1]), b"message")


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP521R1())], ids=["rsa-2048", "p521"]
)
def test_weak_or_unsupported_key_is_rejected(key):
    with pytest.raises(FormatError, match=r"an unsupported (RSA key of 2048 bits|ECDSA key on P-521)"):
        signingkey.sign(key, b"message")
    with pytest.raises(FormatError, match=r"an unsupported (RSA key of 2048 bits|ECDSA key on P-521)"):
        signingkey.load_public_key(signingkey.spki_of(key.public_key()))


def test_key_followed_by_other_bytes_is_rejected():
    spki = signingkey.spki_of(ed25519.Ed25519PrivateKey.generate().public_key())
    for data in (spki + b"\0", spki[:-1], b"", b"\x30\x00"):
        with pytest.raises(FormatError):
            signingkey.load_public_key(data)


SMALL_ORDER = {
    "the neutral point": "01" + "00" * 31,
    "of order 2": "ec" + "ff" * 30 + "7f",
    "of order 4": "00" * 32,
    "of order 8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "another of order 8": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "0, not reduced": "ed" + "ff" * 30 + "7f",
    "1, not reduced": "ee" + "ff" * 30 + "7f",
}


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("kind", SMALL_ORDER)
def test_key_for_which_anyone_can_sign_is_rejected(kind, sign):
    raw = bytearray.fromhex(SMALL_ORDER[kind])
    raw[31] |= sign
    key = ed25519.Ed25519PublicKey.from_public_bytes(bytes(raw))
    with pytest.raises(FormatError, match="an unsupported Ed25519 key of small order"):
        signingkey.verify(signingkey.spki_of(key), b"\1" + bytes(63), b"message")


def test_signature_without_a_private_key_is_why():
    """The library takes it: so the key has to be refused."""
    ed25519.Ed25519PublicKey.from_public_bytes(b"\1" + bytes(31)).verify(b"\1" + bytes(63), b"any message")
