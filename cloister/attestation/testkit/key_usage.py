"""The key usage of simulated certificates (RFC 5280, section 4.2.1.3)."""

from cryptography import x509

from cloister.attestation.platforms.vtpm import KEY_USAGES

AUTHORITY = ("key_cert_sign", "crl_sign")
SIGNER = ("digital_signature",)


def key_usage(*usages: str) -> x509.KeyUsage:
    """The extension with exactly these of KEY_USAGES."""
    return x509.KeyUsage(**{name: name in usages for name in KEY_USAGES}, encipher_only=False, decipher_only=False)
