"""Private keys are read in the forms of other tools; every other file is refused by name and kind."""

import base64
import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, PublicFormat, pkcs12

from cloister.client.files.keys import load_key
from cloister.errors import InputError
from cloister.keyfile import content, der, derivation
from cloister.keyfile.private import describe_key
from cloister.protocol import signingkey
from tests.keyfile import samples
from tests.keyfile.samples import ENCRYPTED, OPENSSH_ENCRYPTED, PASSPHRASE, pem, private
from tests.shared_files import INPUTS

KEYS = {
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "rsa": rsa.generate_private_key(65537, 3072),
}
ED = KEYS["ed25519"]
OTHER = ed25519.Ed25519PrivateKey.generate()
DSA = dsa.generate_private_key(1024)
TRADITIONAL = PrivateFormat.TraditionalOpenSSL

FORMS = {
    "pkcs8": private,
    "pkcs8-der": lambda key: private(key, Encoding.DER),
    "pkcs8-base64": lambda key: b"".join(private(key).splitlines()[1:-1]),
    "pkcs8-crlf": lambda key: private(key).replace(b"\n", b"\r\n"),
    "pkcs8-bom": lambda key: b"\xef\xbb\xbf" + private(key),
    "pkcs8-utf16": lambda key: private(key).decode().encode("utf-16"),
    "pkcs8-attributes": lambda key: (
        b"Bag Attributes\n    friendlyName: lab\nKey Attributes: <No Attributes>\n" + private(key)
    ),
    "pkcs8-with-certificate": lambda key: private(key) + samples.certificate(key),
    "pkcs8-with-parameters": lambda key: pem("EC PARAMETERS", b"\6\1\x2a") + private(key),
    "pkcs8-encrypted": lambda key: private(key, encryption=ENCRYPTED),
    "pkcs8-encrypted-der": lambda key: private(key, Encoding.DER, encryption=ENCRYPTED),
    "rfc5958": lambda key: pem("PRIVATE KEY", samples.rfc5958(key)),
    "rfc5958-der": samples.rfc5958,
    "rfc5958-explicit": lambda key: pem("PRIVATE KEY", samples.rfc5958(key, explicit=True)),
    "rfc5958-attributes": lambda key: samples.rfc5958(key, attributes=b"\x30\0"),
    "rfc5958-encrypted": lambda key: pem("ENCRYPTED PRIVATE KEY", samples.pbes2(samples.rfc5958(key))),
    "rfc5958-encrypted-scrypt": lambda key: samples.pbes2(samples.rfc5958(key), scrypt=True),
    "rfc5958-encrypted-default-prf": lambda key: samples.pbes2(samples.rfc5958(key), hashed=False),
    "openssh": lambda key: private(key, form=PrivateFormat.OpenSSH),
    "openssh-encrypted": lambda key: private(key, form=PrivateFormat.OpenSSH, encryption=OPENSSH_ENCRYPTED),
    "traditional": lambda key: private(key, form=TRADITIONAL),
    "traditional-der": lambda key: private(key, Encoding.DER, TRADITIONAL),
    "traditional-encrypted": lambda key: private(key, form=TRADITIONAL, encryption=ENCRYPTED),
    "traditional-encrypted-crlf": lambda key: private(key, form=TRADITIONAL, encryption=ENCRYPTED).replace(
        b"\n", b"\r\n"
    ),
}


def _write(tmp_path, data):
    path = tmp_path / "my key"
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def _refused(tmp_path, data, passphrase=None):
    with pytest.raises(InputError) as caught:
        load_key(_write(tmp_path, data), passphrase)
    assert str(tmp_path / "my key") in caught.value.message
    assert (caught.value.exit_code, bool(caught.value.hint)) == (2, True)
    return caught.value


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("form", FORMS)
def test_private_key_is_read_in_every_form(tmp_path, kind, form):
    if form.startswith("traditional") and kind == "ed25519":
        pytest.skip("Ed25519 has no traditional form")
    key = KEYS[kind]
    asked = []

    def passphrase(what):
        asked.append(what)
        return PASSPHRASE

    path = _write(tmp_path, FORMS[form](key))
    read = load_key(path, passphrase)

    assert read.public == signingkey.spki_of(key.public_key())
    assert signingkey.verify(read.public, read.sign(b"message"), b"message")
    assert asked == ([str(path)] if "encrypted" in form else [])
    assert describe_key(path, passphrase).spki == read.public


ENCRYPTED_FORMS = [form for form in FORMS if "encrypted" in form]


@pytest.mark.parametrize("form", ENCRYPTED_FORMS)
def test_wrong_passphrase_is_refused(tmp_path, form):
    for wrong in (b"not this one", PASSPHRASE + b"\n", PASSPHRASE[:-1]):
        refused = _refused(tmp_path, FORMS[form](KEYS["p256"]), lambda what, wrong=wrong: wrong)
        assert "does not open with this passphrase" in refused.message
        assert wrong.decode() not in str(refused)


@pytest.mark.parametrize("form", ENCRYPTED_FORMS)
def test_encrypted_key_without_a_passphrase_is_refused(tmp_path, form):
    assert "is encrypted with a passphrase, and none was given" in _refused(tmp_path, FORMS[form](KEYS["p256"])).message


@pytest.mark.parametrize("scrypt", [True, False])
@pytest.mark.parametrize(
    "parameters",
    [
        der.encode(2, b"\xfb") * 3,  # negative
        der.encode(2, b"") * 3,
        der.encode(2, b"\3\xe8") + der.encode(0x30, b""),  # an empty hash
        der.encode(2, b"\3\xe8"),
        der.encode(4, b"\x20\0") + der.encode(2, b"\x08") + der.encode(2, b"\1"),  # a number that is no INTEGER
        b"\5\0",
    ],
    ids=repr,
)
def test_numbers_that_no_tool_writes_do_not_open(tmp_path, parameters, scrypt):
    data = samples.pbes2(samples.rfc5958(ED), scrypt=scrypt, parameters=parameters)
    assert "does not open" in _refused(tmp_path, data, lambda what: b"another one").message


def _integers(*numbers):
    return b"".join(der.encode(2, number.to_bytes(number.bit_length() // 8 + 1)) for number in numbers)


def _pbes2(*numbers, scrypt=False):
    return samples.pbes2(samples.rfc5958(ED), scrypt=scrypt, parameters=_integers(*numbers))


def _pbes1(iterations, oid=b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x03"):
    parameters = der.encode(0x30, der.encode(4, b"12345678") + _integers(iterations))
    return der.encode(0x30, der.encode(0x30, oid + parameters) + der.encode(4, bytes(64)))


def _rounds(count):
    plain = private(ED, form=PrivateFormat.OpenSSH, encryption=OPENSSH_ENCRYPTED)
    data = base64.b64decode(b"".join(plain.splitlines()[1:-1]))
    start = data.index(b"bcrypt") + 6 + 4 + 4 + 16
    assert data[start : start + 4] == b"\0\0\0\1"
    return pem("OPENSSH PRIVATE KEY", data[:start] + count.to_bytes(4) + data[start + 4 :])


TOO_MUCH_WORK = {
    "pbkdf2": (_pbes2(10_000_001), "10000001 iterations of PBKDF2; the limit is 10000000"),
    "pbkdf2 of 2**31": (_pbes2(2**31), "2147483648 iterations of PBKDF2"),
    "pbkdf2 of no machine's integer": (_pbes2(2**150), f"{2**150} iterations of PBKDF2"),
    "pbkdf2 in pem": (pem("ENCRYPTED PRIVATE KEY", _pbes2(2**31)), "2147483648 iterations of PBKDF2"),
    "md5 with des": (_pbes1(2**31), "2147483648 iterations of a hash"),
    "pkcs 12": (_pbes1(10**8, b"\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03"), "100000000 iterations of a hash"),
    "scrypt memory": (
        _pbes2(2**21, 8, 1, scrypt=True),
        "scrypt with N = 2097152, r = 8 and p = 1; the limit is 1073741824 bytes",
    ),
    "scrypt blocks": (_pbes2(2, 2**23, 1, scrypt=True), "scrypt with N = 2, r = 8388608 and p = 1"),
    "scrypt time": (_pbes2(2**20, 8, 3, scrypt=True), "p = 3; the limit is N * r * p = 16777216"),
    "scrypt parallel": (_pbes2(2, 1, 2**24, scrypt=True), "N = 2, r = 1 and p = 16777216"),
    "bcrypt": (_rounds(1025), "1025 rounds of bcrypt; the limit is 1024"),
    "bcrypt of 2**32 - 1": (_rounds(2**32 - 1), "4294967295 rounds of bcrypt"),
}


@pytest.mark.parametrize("name", TOO_MUCH_WORK)
def test_work_that_a_file_asks_for_is_bounded_before_the_passphrase_is_asked_for(tmp_path, name):
    data, said = TOO_MUCH_WORK[name]

    def passphrase(what):
        raise AssertionError("asked for a passphrase in vain")

    refused = _refused(tmp_path, data, passphrase)
    assert said in refused.message
    again = "ssh-keygen -p -a 24 -f" if "bcrypt" in name else "openssl pkcs8 -topk8 -out NAME.pem -in"
    assert f"{again} '{tmp_path}/my key'" in refused.hint


def _large_rsa(*, further=False):
    """The form of a key whose numbers nothing may factor or test for being prime."""
    numbers = [1 if further else 0, *[2**3071 + 1 if further else 2**8192 + 1] * 8]
    content = _integers(*numbers)
    if further:
        content += der.encode(0x30, der.encode(0x30, _integers(2**8192 + 1, 1, 1)))
    return der.encode(0x30, content)


def _in_pkcs8(data):
    return der.encode(
        0x30, _integers(0) + der.encode(0x30, bytes.fromhex("06092a864886f70d0101010500")) + der.encode(4, data)
    )


TOO_LARGE = {
    "traditional": _large_rsa(),
    "traditional-pem": pem("RSA PRIVATE KEY", _large_rsa()),
    "further primes": _large_rsa(further=True),
    "pkcs8": _in_pkcs8(_large_rsa()),
    "rfc5958": der.encode(0x30, _integers(1) + _in_pkcs8(_large_rsa())[7:] + der.encode(0x81, b"\0")),
    "pkcs8-encrypted": samples.pbes2(_in_pkcs8(_large_rsa())),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_rsa_is_bounded_before_the_library_tests_its_primes(tmp_path, monkeypatch, name):
    monkeypatch.setattr(serialization, "load_der_private_key", None)
    refused = _refused(tmp_path, TOO_LARGE[name], lambda what: PASSPHRASE)
    assert "is an unsupported RSA key of 8193 bits" in refused.message


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"])
def test_key_that_only_the_library_decrypts_is_bounded(tmp_path, monkeypatch, label):
    for name in ("load_der_private_key", "load_pem_private_key"):
        monkeypatch.setattr(serialization, name, None)
    if label == "RSA PRIVATE KEY":
        head = b"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,%s\n\n" % (b"0" * 32)
        data = b"-----BEGIN %s-----\n%s%s\n-----END %s-----\n" % (label.encode(), head, b"A" * 8192, label.encode())
    else:
        data = der.encode(0x30, der.whole(_pbes1(2048)).children()[0].encoded + der.encode(4, bytes(8192)))
    refused = _refused(tmp_path, data, lambda what: PASSPHRASE)
    assert "is an unsupported encrypted key of more than 8192 bytes" in refused.message


DEFAULTS = {
    "openssl pkcs8": derivation.of_pkcs8(_pbes2(2048)),
    "advice of OWASP for SHA-1": derivation.of_pkcs8(_pbes2(1_300_000)),
    "openssl pkcs8 -scrypt": derivation.of_pkcs8(_pbes2(16384, 8, 1, scrypt=True)),
    "scrypt of files (RFC 7914)": derivation.of_pkcs8(_pbes2(2**20, 8, 1, scrypt=True)),
    "openssl pkcs8 -v1": derivation.of_pkcs8(_pbes1(2048)),
    "ssh-keygen": derivation.of_openssh(base64.b64decode(b"".join(_rounds(24).splitlines()[1:-1]))),
    "ssh-keygen -a 500": derivation.of_openssh(base64.b64decode(b"".join(_rounds(500).splitlines()[1:-1]))),
}


def test_what_tools_write_and_guides_recommend_is_done():
    assert set(DEFAULTS.values()) == {None}


@pytest.mark.parametrize("numbers", [(), (2**20000,)], ids=["no number", "a number without end"])
def test_derivation_that_no_tool_writes_is_refused(tmp_path, numbers):
    for scrypt in (True, False):
        _refused(
            tmp_path,
            samples.pbes2(samples.rfc5958(ED), scrypt=scrypt, parameters=_integers(*numbers) or b"\5\0"),
            lambda what: PASSPHRASE,
        )


def _pkcs12():
    return pkcs12.serialize_key_and_certificates(b"lab", ED, None, None, samples.NOT_ENCRYPTED)


SK_PUBLIC, SK_PRIVATE = samples.security_key(ED)
SUPPORTED = "Supported are Ed25519, ECDSA on P-256 and P-384, and RSA of 3072 to 8192 bits"

REFUSED = {
    "empty": (b"", "is empty", "ssh-keygen -t ed25519"),
    "blank": (b" \r\n\n", "is empty", "`keys`"),
    "dsa-pkcs8": (private(DSA), "unsupported DSA key", SUPPORTED),
    "dsa-traditional": (private(DSA, form=TRADITIONAL), "unsupported DSA key", SUPPORTED),
    "dsa-encrypted": (private(DSA, form=TRADITIONAL, encryption=ENCRYPTED), "unsupported DSA key", SUPPORTED),
    "rsa-2048": (private(rsa.generate_private_key(65537, 2048)), "unsupported RSA key of 2048 bits", SUPPORTED),
    "p521": (private(ec.generate_private_key(ec.SECP521R1())), "unsupported ECDSA key on P-521", SUPPORTED),
    "p521-traditional": (
        private(ec.generate_private_key(ec.SECP521R1()), form=TRADITIONAL),
        "unsupported ECDSA key on P-521",
        SUPPORTED,
    ),
    "p521-openssh-encrypted": (
        private(ec.generate_private_key(ec.SECP521R1()), form=PrivateFormat.OpenSSH, encryption=OPENSSH_ENCRYPTED),
        "unsupported ECDSA key on P-521",
        SUPPORTED,
    ),
    "secp256k1": (private(ec.generate_private_key(ec.SECP256K1())), "unsupported ECDSA key on secp256k1", SUPPORTED),
    "ed448": (private(ed448.Ed448PrivateKey.generate()), "unsupported Ed448 key", SUPPORTED),
    "x25519": (private(x25519.X25519PrivateKey.generate()), "unsupported X25519 key", SUPPORTED),
    "unknown-algorithm": (
        private(ED, Encoding.DER).replace(b"\x06\x03\x2b\x65\x70", b"\x06\x03\x2b\x65\x7f"),
        "damaged or of an unsupported type",
        SUPPORTED,
    ),
    "security-key": (SK_PRIVATE, "a key of a security key", "ssh-keygen -t ed25519"),
    "putty": (
        b"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n",
        "PuTTY key (.ppk)",
        "puttygen 'FILE' -O private",
    ),
    "pgp": (
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAA==\n-----END PGP PRIVATE KEY BLOCK-----\n",
        "PGP key",
        "`keys`",
    ),
    "pgp-binary": (b"\x95\x01\xfe\x04" + bytes(range(200)), "PGP key", "`keys`"),
    "pgp-binary-new": (b"\xc5\x58\x04" + bytes(range(200)), "PGP key", "`keys`"),
    "jwk": (b'{"crv": "Ed25519", "kty": "OKP", "d": "AA", "x": "AA"}', "JSON Web Key", "PEM"),
    "jwk-set": (b'{"keys": [{"kty": "OKP"}]}', "JSON Web Key", "PEM"),
    "pkcs12": (_pkcs12(), "PKCS #12", "openssl pkcs12 -in 'FILE' -nocerts"),
    "jks": (b"\xfe\xed\xfe\xed\0\0\0\2", "Java key store", "keytool"),
    "ssh1": (b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0", "SSH version 1", "`keys`"),
    "ssh.com": (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAA\n", "ssh.com", "puttygen"),
    "age": (b"AGE-SECRET-KEY-1QQQQ", "age key", "`keys`"),
    "minisign": (b"untrusted comment: minisign secret key\nAA==\n", "minisign", "`keys`"),
    "cosign": (pem("ENCRYPTED SIGSTORE PRIVATE KEY", b"{}"), "cosign key", "`keys`"),
    "tpm": (pem("TSS2 PRIVATE KEY", b"\x30\0"), "only its TPM", "`keys`"),
    "parameters": (pem("EC PARAMETERS", b"\6\1\x2a"), "parameters, and no key", "`keys`"),
    "other-label": (pem("WIREGUARD KEY", b"key"), "PEM of the kind WIREGUARD KEY", "`keys`"),
    "request": (samples.request(ED), "certificate request", "openssl req -in 'FILE' -pubkey"),
    "request-der": (samples.request(ED, Encoding.DER), "certificate request", "openssl req"),
    "crl": (samples.revocation_list(ED), "revocation list", "`keys`"),
    "certificate": (samples.certificate(ED), "is a certificate, expected a private key", "belongs to it"),
    "public": (samples.public(ED), "is a public key, expected a private key", "private key"),
    "public-der": (samples.public(ED, Encoding.DER), "is a public key, expected a private key", "private key"),
    "public-line": (samples.line(ED), "is a public key, expected a private key", "ssh-agent"),
    "security-key-line": (SK_PUBLIC, "a key of a security key", "`keys`"),
    "fingerprint": (b"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n", "is a fingerprint", "public key"),
    "two-keys": (private(ED) + private(OTHER), "holds 2 keys, expected one", "Keep one"),
    "cut": (private(ED)[:60], "without its END line", "whole file"),
    "cut-before-another": (private(ED)[:60] + b"\n" + private(OTHER), "without its END line", "whole file"),
    "no-base64": (b"-----BEGIN PRIVATE KEY-----\n*!\n-----END PRIVATE KEY-----\n", "is damaged", "Copy it again"),
    "no-der": (pem("PRIVATE KEY", b"no key at all"), "is damaged", "Copy it again"),
    "cut-der": (private(ED, Encoding.DER)[:-1], "holds no key in a known form", "`keys`"),
    "openssh-cut": (
        pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0" + samples.fields(b"none", b"none")),
        "is damaged",
        "Copy it again",
    ),
    "openssh-cipher": (
        samples.with_cipher(FORMS["openssh-encrypted"](ED), b"aes128-ctr"),
        "is encrypted with aes128-ctr",
        "ssh-keygen -p -Z aes256-ctr -f 'FILE'",
    ),
    "other-public-key": (samples.rfc5958(ED, beside=OTHER), "does not belong to its private key", "Copy it again"),
    "other-public-key-explicit": (
        samples.rfc5958(ED, beside=OTHER, explicit=True),
        "does not belong to its private key",
        "Copy it again",
    ),
    "text": (b"my key is under the mat\n", "holds no key in a known form", "PEM"),
    "raw": (ED.private_bytes_raw(), "holds no key in a known form", "PEM"),
    "too-large": (b"A" * (content.MAX_SIZE + 1), "too large for a key", ""),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_file_is_refused_by_kind(tmp_path, name):
    data, kind, remedy = REFUSED[name]

    def passphrase(what):
        raise AssertionError("asked for a passphrase in vain")

    with pytest.raises(InputError) as caught:
        load_key(_write(tmp_path, data), passphrase)

    assert caught.value.exit_code == 2
    assert str(tmp_path / "my key") in caught.value.message
    assert kind in caught.value.message
    assert remedy.replace("'FILE'", f"'{tmp_path}/my key'") in caught.value.hint


LABELS = {
    "PRIVATE KEY": private(KEYS["rsa"], Encoding.DER),
    "RSA PRIVATE KEY": private(KEYS["rsa"], Encoding.DER, TRADITIONAL),
    "EC PRIVATE KEY": private(KEYS["p256"], Encoding.DER, TRADITIONAL),
    "ENCRYPTED PRIVATE KEY": private(ED, Encoding.DER, encryption=ENCRYPTED),
    "PUBLIC KEY": samples.public(ED, Encoding.DER),
    "RSA PUBLIC KEY": samples.public(KEYS["rsa"], Encoding.DER, PublicFormat.PKCS1),
    "CERTIFICATE": samples.certificate(ED, Encoding.DER),
}


@pytest.mark.parametrize("label", [*LABELS, "OPENSSH PRIVATE KEY"])
@pytest.mark.parametrize("form", LABELS)
def test_label_must_be_that_of_the_content(tmp_path, label, form):
    if label == form:
        return
    refused = _refused(tmp_path, pem(label, LABELS[form]))

    assert f"is labelled {label}, but its content is {form}" in refused.message
    assert f"sed -i 's/{label}/{form}/'" in refused.hint


@pytest.mark.parametrize("label", ["RSA PRIVATE KEY", "PRIVATE KEY"])
def test_remedy_for_a_wrong_label_makes_the_key_usable(tmp_path, label):
    form = {"RSA PRIVATE KEY": "PRIVATE KEY", "PRIVATE KEY": "RSA PRIVATE KEY"}[label]
    refused = _refused(tmp_path, pem(label, LABELS[form]))

    subprocess.run(["sh", "-c", refused.hint.partition(": ")[2]], check=True)

    assert load_key(tmp_path / "my key").public == signingkey.spki_of(KEYS["rsa"].public_key())


def test_private_key_with_one_changed_byte_is_never_a_traceback(tmp_path):
    for form in ("pkcs8-der", "rfc5958-der", "traditional-der", "openssh", "pkcs8"):
        data = FORMS[form](KEYS["p256"])
        for place in range(0, len(data), 3):
            changed = data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :]
            try:
                load_key(_write(tmp_path, changed), lambda what: PASSPHRASE)
            except InputError as error:
                assert str(tmp_path) in error.message


SSH_KEYGEN = {"ed25519": [], "ecdsa": ["-b", "384"], "rsa": ["-b", "3072"]}


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("passphrase", ["", PASSPHRASE.decode()], ids=["plain", "encrypted"])
@pytest.mark.parametrize("kind", SSH_KEYGEN)
def test_key_of_ssh_keygen_is_read(tmp_path, kind, passphrase):
    path = tmp_path / "id"
    command = ["ssh-keygen", "-q", "-t", kind, *SSH_KEYGEN[kind], "-N", passphrase, "-C", "demo", "-f", str(path)]
    subprocess.run(command, check=True)

    assert load_key(path, lambda what: PASSPHRASE).public == describe_key(path.with_name("id.pub")).spki


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("cipher", [["-v2", "aes-256-cbc"], ["-scrypt"], ["-v1", "PBE-SHA1-3DES"], ["-nocrypt"]])
@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_key_of_openssl_is_read(tmp_path, cipher, form):
    made = _write(tmp_path, private(KEYS["p256"]))
    words = [
        "openssl",
        "pkcs8",
        "-topk8",
        "-in",
        str(made),
        "-outform",
        form,
        "-passout",
        f"pass:{PASSPHRASE.decode()}",
    ]
    written = subprocess.run([*words, *cipher], check=True, capture_output=True).stdout

    key = load_key(_write(tmp_path, written), lambda what: PASSPHRASE)

    assert key.public == signingkey.spki_of(KEYS["p256"].public_key())


@pytest.mark.skipif(not (INPUTS / "13-keys-of-others").is_dir(), reason="shared/inputs is not beside the checkout")
@pytest.mark.skipif(
    shutil.which("ssh-keygen") is None or shutil.which("openssl") is None, reason="ssh-keygen or openssl is missing"
)
def test_keys_of_others_are_read_or_refused_by_kind(tmp_path):
    folder = INPUTS / "13-keys-of-others"
    subprocess.run(["sh", str(folder / "make.sh")], cwd=tmp_path, check=True)
    rfc5958 = subprocess.run([sys.executable, str(folder / "pkcs8v2.py")], capture_output=True, check=False)
    if rfc5958.returncode == 0:
        (tmp_path / "rfc5958.pem").write_bytes(rfc5958.stdout)
        (tmp_path / "rfc5958.pem").chmod(0o600)
    said = {}
    for path in tmp_path.iterdir():
        try:
            said[path.name] = load_key(path, lambda what: b"demo").id
        except InputError as error:
            said[path.name] = error.message

    read = {"openssh_ed25519", "encrypted.pem", "der.key", "rfc5958.pem"} & set(said)
    assert all(len(said.pop(name)) == 64 for name in read)
    assert "expected a private key" in said.pop("openssh_ed25519.pub")
    assert "ECDSA key on P-521" in said.pop("p521.pem")
    assert "is labelled RSA PRIVATE KEY, but its content is PRIVATE KEY" in said.pop("pkcs8-called-pkcs1.pem")
    assert said == {}
