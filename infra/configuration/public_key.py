"""Public keys of members, as a configuration holds them."""

from cloister.errors import InputError
from cloister.keyfile.public import parse_public_key


def parse(text: str) -> bytes:
    """The DER SubjectPublicKeyInfo of a public key in PEM, in base64 or as a line of OpenSSH. Raises InputError.

    A certificate is rejected: that only its key is taken can be said when a file is read, and not here.
    """
    found = parse_public_key(text.encode("utf-8", "replace"), what="The key")
    if found.note:
        raise InputError(
            "The key is a certificate, expected a public key.",
            hint="Run: invoke member.add NAME --key FILE --roles ...",
        )
    return found.spki
