"""Public keys of members, as a configuration holds them."""

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from cloister.errors import InputError
from cloister.protocol import transcript


def parse(text: str) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key in PEM, or of that DER in base64. Raises InputError.

    Accepts the key types that a session accepts (``transcript.load_public_key``).
    """
    data = text.strip()
    try:
        if data.startswith("-----"):
            key = load_pem_public_key(data.encode("ascii"))
        else:
            standard = data.translate(str.maketrans("-_", "+/"))
            key = load_der_public_key(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True))
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as error:
        what = "a private key" if "PRIVATE" in data[:64] else f"{data[:24]!r}..."
        raise InputError(f"{what} is not a public key in PEM or base64.") from error
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    transcript.load_public_key(spki)
    return spki
