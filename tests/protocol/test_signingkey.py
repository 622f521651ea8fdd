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
