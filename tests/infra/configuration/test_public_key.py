"""A workspace's configuration takes the keys of other tools, and no certificate."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from cloister.errors import InputError
from cloister.protocol import signingkey
from infra.configuration import public_key
from tests.keyfile import samples

KEY = ed25519.Ed25519PrivateKey.generate()
DER = samples.public(KEY, Encoding.DER)


@pytest.mark.parametrize(
    "text",
    [samples.public(KEY), samples.line(KEY), base64.b64encode(DER), base64.urlsafe_b64encode(DER).rstrip(b"=")],
    ids=["pem", "openssh", "base64", "base64url"],
)
def test_configuration_takes_a_key_in_every_text_form(text: bytes) -> None:
    assert public_key.parse(text.decode()) == signingkey.spki_of(KEY.public_key())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (samples.certificate(KEY).decode(), "The key is a certificate, expected a public key"),
        (samples.private(KEY).decode(), "The key is a private key, expected a public key"),
        ("me", "The key holds no key in a known form"),
        ("", "The key is empty"),
    ],
    ids=["certificate", "private", "text", "empty"],
)
def test_configuration_takes_nothing_else(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        public_key.parse(text)
