"""Public keys are read in the forms of other tools; of a certificate only the key is used, and a note says so."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat, pkcs7
from cryptography.x509 import load_pem_x509_certificate

from cloister.errors import InputError
from cloister.keyfile.content import is_inline
from cloister.keyfile.private import describe_key
from cloister.keyfile.public import parse_public_key, read_public_key
from cloister.protocol import signingkey
from tests.keyfile import samples
from tests.keyfile.samples import certificate, line, pem, private, public

KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(65537, 3072),
}
ED = KEYS["ed25519"]
WEAK = rsa.generate_private_key(65537, 2048)

FORMS = {
    "pem": public,
    "pem-crlf": lambda key: public(key).replace(b"\n", b"\r\n"),
    "pem-utf16": lambda key: public(key).decode().encode("utf-16"),
    "der": lambda key: public(key, Encoding.DER),
    "base64": lambda key: base64.b64encode(public(key, Encoding.DER)),
    "base64url": lambda key: base64.urlsafe_b64encode(public(key, Encoding.DER)).rstrip(b"="),
    "openssh": line,
    "openssh-without-comment": lambda key: line(key, b""),
    "openssh-crlf": lambda key: line(key).replace(b"\n", b"\r\n"),
    "openssh-utf16": lambda key: line(key).decode().encode("utf-16"),
    "openssh-with-comments": lambda key: b"# of the lab\n\n" + line(key) + b"\n",
    "certificate": certificate,
    "certificate-der": lambda key: certificate(key, Encoding.DER),
    "certificate-v1": samples.certificate_v1,
    "certificate-with-text": lambda key: b"Certificate:\n    Data:\n        Version: 3\n" + certificate(key),
    "certificate-x509": lambda key: certificate(key).replace(b" CERTIFICATE", b" X509 CERTIFICATE"),
    "openssh-certificate": samples.openssh_certificate,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_public_key_is_read_in_every_form(tmp_path, kind, form):
    path = tmp_path / "lab.pub"
    path.write_bytes(FORMS[form](KEYS[kind]))

    read = read_public_key(path)

    assert read.spki == signingkey.spki_of(KEYS[kind].public_key())
    assert describe_key(path) == read
    if "certificate" in form:
        assert read.note == (
            f"{path} is a certificate; only its key is taken. Its names, dates and issuer are not checked."
        )
    else:
        assert read.note == ""


def test_rsa_key_of_pkcs1_and_compressed_point_are_read():
    rsa_key, curve = KEYS["rsa"], KEYS["p256"]
    compressed = public(curve, Encoding.X962, PublicFormat.CompressedPoint)
    spki = public(curve, Encoding.DER).replace(
        b"\x03\x42\0" + public(curve, Encoding.X962, PublicFormat.UncompressedPoint), b"\x03\x22\0" + compressed
    )
    spki = spki[:1] + bytes([len(spki) - 2]) + spki[2:]
    for data in (public(rsa_key, form=PublicFormat.PKCS1), public(rsa_key, Encoding.DER, PublicFormat.PKCS1)):
        assert parse_public_key(data, what="lab").spki == signingkey.spki_of(rsa_key.public_key())
    assert parse_public_key(spki, what="lab").spki == signingkey.spki_of(curve.public_key())


def _line_of(kind, *parts):
    return kind + b" " + base64.b64encode(samples.fields(kind, *parts)) + b" demo\n"


ED_LINE = line(ED)
SUPPORTED = "Supported are Ed25519"
CHAIN = certificate(ED) + certificate(KEYS["p256"])

REFUSED = {
    "empty": (b"", "is empty", "`keys`"),
    "private": (private(ED), "is a private key, expected a public key", "ssh-keygen -y -f 'FILE'"),
    "private-der": (private(ED, Encoding.DER), "is a private key, expected a public key", "openssl pkey -in 'FILE'"),
    "private-openssh": (private(ED, form=PrivateFormat.OpenSSH), "is a private key, expected a public key", ".pub"),
    "private-encrypted": (private(ED, encryption=samples.ENCRYPTED), "is a private key, expected a public", ".pub"),
    "private-with-certificate": (certificate(ED) + private(ED), "is a private key, expected a public key", ".pub"),
    "dsa-line": (_line_of(b"ssh-dss", b"\1", b"\1", b"\1", b"\1"), "unsupported DSA key", SUPPORTED),
    "dsa": (public(dsa.generate_private_key(1024)), "unsupported DSA key", SUPPORTED),
    "p521-line": (line(ec.generate_private_key(ec.SECP521R1())), "unsupported ECDSA key on P-521", SUPPORTED),
    "rsa-2048-line": (line(WEAK), "unsupported RSA key of 2048 bits", SUPPORTED),
    "rsa-2048": (public(WEAK), "unsupported RSA key of 2048 bits", SUPPORTED),
    "rsa-2048-certificate": (certificate(WEAK), "unsupported RSA key of 2048 bits", SUPPORTED),
    "ed448": (public(ed448.Ed448PrivateKey.generate()), "unsupported Ed448 key", SUPPORTED),
    "security-key": (samples.security_key(ED)[0], "a key of a security key", "ssh-keygen -t ed25519"),
    "security-key-ecdsa": (
        _line_of(b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4", b"ssh:"),
        "a key of a security key",
        "ssh-keygen -t ed25519",
    ),
    "security-key-certificate": (
        _line_of(b"sk-ssh-ed25519-cert-v01@openssh.com", b"nonce", b"key"),
        "a key of a security key",
        "ssh-keygen -t ed25519",
    ),
    "authorized-keys-options": (b'from="10.0.0.0/8" ' + ED_LINE, "something before the type", "Remove it"),
    "known-hosts": (b"host.example " + ED_LINE, "something before the type", "Remove it"),
    "two-lines": (ED_LINE + line(KEYS["p256"]), "holds 2 keys, expected one", "Keep one"),
    "two-pem": (public(ED) + public(KEYS["p256"]), "holds 2 keys, expected one", "Keep one"),
    "chain": (CHAIN, "holds 2 certificates, expected one", "openssl x509 -in 'FILE'"),
    "wrapped-line": (ED_LINE[:50] + b"\n" + ED_LINE[50:], "damaged OpenSSH public key", "one line"),
    "cut-line": (b" ".join(ED_LINE.split()[:1]), "damaged OpenSSH public key", "one line"),
    "other-type": (ED_LINE.replace(b"ssh-ed25519 ", b"ssh-rsa "), "damaged OpenSSH public key", "one line"),
    "rfc4716": (
        b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n",
        "RFC 4716",
        "ssh-keygen -i -f",
    ),
    "putty": (b"PuTTY-User-Key-File-2: ssh-rsa\n", "PuTTY key", "-O public-openssh"),
    "pgp": (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAA==\n-----END PGP PUBLIC KEY BLOCK-----\n", "PGP key", "`keys`"),
    "pgp-binary": (b"\x99\x01\x0d\x04" + bytes(200), "PGP key", "`keys`"),
    "pkcs7": (
        pkcs7.serialize_certificates([load_pem_x509_certificate(certificate(ED))], Encoding.DER),
        "PKCS #7",
        "openssl pkcs7 -in 'FILE' -print_certs",
    ),
    "trusted-certificate": (pem("TRUSTED CERTIFICATE", b"\x30\0"), "OpenSSL's own form", "openssl x509"),
    "request": (samples.request(ED), "certificate request", "openssl req"),
    "jwk": (b'{"kty": "OKP", "crv": "Ed25519", "x": "AA"}', "JSON Web Key", "PEM"),
    "fingerprint": (b"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", "is a fingerprint", "public key"),
    "fingerprint-hex": (b"ab" * 32 + b"\n", "is a fingerprint", "public key"),
    "fingerprint-colons": (b":".join([b"ab"] * 16), "is a fingerprint", "public key"),
    "mislabelled": (pem("RSA PUBLIC KEY", public(ED, Encoding.DER)), "its content is PUBLIC KEY", "sed"),
    "damaged-certificate": (pem("CERTIFICATE", bytes.fromhex("30093005a0030201023000")), "is damaged", "Copy it again"),
    "text": (b"see the lab's wiki", "holds no key in a known form", "PEM"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_file_is_refused_by_kind(tmp_path, name):
    data, kind, remedy = REFUSED[name]
    path = tmp_path / "the lab's.pub"
    path.write_bytes(data)

    with pytest.raises(InputError) as caught:
        read_public_key(path)

    quoted = "'" + str(path).replace("'", "'\"'\"'") + "'"
    assert caught.value.exit_code == 2
    assert str(path) in caught.value.message
    assert kind in caught.value.message
    assert remedy.replace("'FILE'", quoted) in caught.value.hint


def test_rsa_key_whose_signature_no_consent_may_have_is_refused():
    modulus = (1 << 8199) | 1
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    data = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    with pytest.raises(InputError, match="unsupported RSA key of 8200 bits"):
        parse_public_key(data, what="lab")


@pytest.mark.parametrize("form", ["pem", "der", "openssh", "certificate", "certificate-der", "openssh-certificate"])
def test_public_key_with_one_changed_byte_is_never_a_traceback(form):
    data = FORMS[form](KEYS["p256"])
    for place in range(len(data)):
        try:
            parse_public_key(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :], what="lab")
        except InputError as error:
            assert "lab" in error.message


INLINE = {form: FORMS[form](ED).decode() for form in ("pem", "base64", "base64url", "openssh", "openssh-certificate")}


@pytest.mark.parametrize("text", INLINE.values(), ids=INLINE)
def test_key_is_told_from_a_path(text):
    assert is_inline(text)
    assert is_inline(f"  {text}\n")


@pytest.mark.parametrize(
    "text",
    ["lab.pub", "keys/ssh-ed25519.pub", "ssh-ed25519.pub", "ssh-ed25519", "MCow.pub", "my key.pem", "./-----.pem"],
)
def test_path_is_told_from_a_key(text):
    assert not is_inline(text)
