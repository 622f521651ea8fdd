"""Paths lead to the pinned key, and hostile certificates cause neither crashes nor loops."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.testkit import Authority
from cloister.attestation.x509.certificate import MAX_CERTIFICATE_SIZE, Certificate, find_path, issuers_among, may_sign

AT = datetime(2026, 3, 1, tzinfo=UTC)
UNKNOWN = x509.ObjectIdentifier("2.999.1")
ALTERNATIVE = x509.SubjectAlternativeName([x509.DNSName("machine.example")])
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    subject: str,
    issuer: str,
    subject_key: Key,
    issuer_key: Key,
    *,
    ca: bool = True,
    path_length: int | None = None,
    signs: bool = True,
    digest: hashes.SHA224 | hashes.SHA384 | hashes.SHA512 | hashes.SHA3_256 | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Certificate:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    usage = x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    built = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(subject_key.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
        .add_extension(usage, critical=True)
    )
    for extension, critical in extensions:
        built = built.add_extension(extension, critical=critical)
    signed = built.sign(issuer_key, digest or hashes.SHA256())
    return Certificate.parse(signed.public_bytes(serialization.Encoding.DER))


ROOT_KEY, MIDDLE_KEY, LEAF_KEY = key(), key(), key()
ROOT = certificate("root", "root", ROOT_KEY, ROOT_KEY)
MIDDLE = certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, path_length=0)
LEAF = certificate("leaf", "middle", LEAF_KEY, MIDDLE_KEY, ca=False, signs=False)


def test_path_may_have_intermediates() -> None:
    path, why = find_path(LEAF, (ROOT, MIDDLE), ROOT.fingerprint())
    assert path == (LEAF, MIDDLE, ROOT)
    assert why == ""


def test_path_ends_at_the_first_pinned_key() -> None:
    pinned = certificate("middle", "middle", MIDDLE_KEY, MIDDLE_KEY)
    assert find_path(LEAF, (ROOT, MIDDLE, pinned), MIDDLE.fingerprint())[0] == (LEAF, pinned)


@pytest.mark.parametrize("issuer", ["root", "other"])
def test_certificate_for_the_pinned_key_must_be_signed_by_it(issuer: str) -> None:
    """Otherwise the sender of evidence would choose the anchor's name, dates and rights."""
    forged = certificate("root", issuer, ROOT_KEY, key())
    path, why = find_path(LEAF, (forged, MIDDLE), ROOT.fingerprint())
    assert path is None
    assert "not signed by that key" in why
    assert find_path(LEAF, (forged, MIDDLE, ROOT), ROOT.fingerprint())[0] == (LEAF, MIDDLE, ROOT)


def test_leaf_is_never_its_own_anchor() -> None:
    alone = certificate("alone", "alone", ROOT_KEY, ROOT_KEY)
    assert find_path(alone, (alone,), alone.fingerprint())[0] is None


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        ((), "no certificate with the pinned key"),
        ((ROOT,), "no certificate with the pinned key"),
        ((MIDDLE,), "no certificate with the pinned key"),
        ((ROOT, certificate("middle", "root", key(), ROOT_KEY)), "not signed by the key of its issuer"),
        ((ROOT, certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, ca=False)), "not a certificate authority"),
        ((ROOT, certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, signs=False)), "not a certificate authority"),
        ((ROOT, certificate("middle", "root", MIDDLE_KEY, key())), "not signed by the key of its issuer"),
        ((certificate("root", "root", ROOT_KEY, ROOT_KEY, path_length=0), MIDDLE), "allows 0 authorities below it"),
        ((ROOT, *(certificate("middle", "root", key(), ROOT_KEY) for _ in range(32))), "at most 32 are considered"),
    ],
)
def test_broken_path_is_not_found(pool: tuple[Certificate, ...], reason: str) -> None:
    path, why = find_path(LEAF, pool, ROOT.fingerprint())
    assert path is None
    assert reason in why


def test_number_of_considered_certificates_is_limited() -> None:
    crowd = [certificate("middle", "root", key(), ROOT_KEY) for _ in range(31)]
    assert find_path(LEAF, (*crowd[1:], MIDDLE, ROOT), ROOT.fingerprint())[0] == (LEAF, MIDDLE, ROOT)
    path, why = find_path(LEAF, (*crowd, MIDDLE, ROOT), ROOT.fingerprint())
    assert path is None
    assert why == "there are 33 certificates, at most 32 are considered"


def test_path_longer_than_the_limit_is_not_found() -> None:
    assert find_path(LEAF, (ROOT, MIDDLE), ROOT.fingerprint(), longest=3)[0] == (LEAF, MIDDLE, ROOT)
    assert find_path(LEAF, (ROOT, MIDDLE), ROOT.fingerprint(), longest=2)[0] is None


@pytest.mark.parametrize(("bits", "accepted"), [(2047, False), (2048, True), (4096, True), (4104, False)])
def test_rsa_key_of_unsupported_size_is_rejected(bits: int, accepted: bool) -> None:
    """Sixty thousand bytes of certificates would keep the verifier busy for minutes."""
    large = rsa.generate_private_key(65537, bits)
    root = certificate("root", "root", large, large)
    path, why = find_path(
        certificate("leaf", "root", LEAF_KEY, large, ca=False, signs=False), (root,), root.fingerprint()
    )
    assert (path is not None) == accepted
    assert ("not accepted" in why) != accepted


@pytest.mark.parametrize(("exponent", "accepted"), [(2**32 - 5, True), (2**32 + 15, False)])
def test_rsa_key_with_a_long_exponent_is_rejected(exponent: int, accepted: bool) -> None:
    """An exponent may be as long as the key, which makes each verification a hundred times slower."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    p, q = numbers.p, numbers.q
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    slow = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()
    root = certificate("root", "root", slow, slow)
    leaf = certificate("leaf", "root", LEAF_KEY, slow, ca=False, signs=False)
    path, why = find_path(leaf, (root,), root.fingerprint())
    assert (path is not None) == accepted
    assert ("not accepted" in why) != accepted


@pytest.mark.parametrize(("bits", "accepted"), [(2047, False), (2048, True), (4096, True), (4097, False)])
def test_rsa_key_size_limit_is_exact(bits: int, accepted: bool) -> None:
    assert may_sign(rsa.RSAPublicNumbers(65537, 1 << bits - 1 | 1).public_key()) == accepted


def test_certificate_with_the_same_name_does_not_hide_the_right_one() -> None:
    decoy = certificate("middle", "root", key(), ROOT_KEY)
    assert find_path(LEAF, (decoy, MIDDLE, ROOT), ROOT.fingerprint())[0] == (LEAF, MIDDLE, ROOT)


def test_cross_signed_cas_do_not_loop() -> None:
    first, second = key(), key()
    ring = (certificate("a", "b", first, second), certificate("b", "a", second, first))
    leaf = certificate("leaf", "a", LEAF_KEY, first, ca=False, signs=False)
    assert find_path(leaf, ring, ROOT.fingerprint())[0] is None


def test_path_length_is_limited_to_five() -> None:
    keys = [key() for _ in range(6)]
    chain = [certificate("0", "0", keys[0], keys[0])]
    chain += [certificate(str(i), str(i - 1), keys[i], keys[i - 1]) for i in range(1, 6)]
    anchor = chain[0].fingerprint()
    assert find_path(chain[4], chain, anchor)[0] is not None
    assert find_path(chain[5], chain, anchor)[0] is None


def test_validity_includes_both_ends() -> None:
    ends = [ROOT.not_before, ROOT.not_after]
    assert all(ROOT.valid_at(at) for at in ends)
    assert not ROOT.valid_at(ROOT.not_before - timedelta(seconds=1))
    assert not ROOT.valid_at(ROOT.not_after + timedelta(seconds=1))


def test_truncated_certificates_are_malformed() -> None:
    der = Authority.create(AT).certificate
    for size in range(len(der)):
        with pytest.raises(MalformedEvidence) as caught:
            Certificate.parse(der[:size])
        assert caught.value.offset == 0


def test_certificate_size_is_limited() -> None:
    large = rsa.generate_private_key(65537, 2048)  # its signatures are all of one length

    def padded(size: int) -> Certificate:
        filling = x509.UnrecognizedExtension(UNKNOWN, bytes(size))
        return certificate("root", "root", large, large, extensions=[(filling, False)])

    fill = 12_000 + MAX_CERTIFICATE_SIZE - len(padded(12_000).der)
    assert len(padded(fill).der) == MAX_CERTIFICATE_SIZE == 2**14
    with pytest.raises(MalformedEvidence, match="at most 16384 are allowed") as caught:
        padded(fill + 1)
    assert caught.value.offset == 0


def test_unknown_tls_feature_is_malformed() -> None:
    feature = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), bytes.fromhex("3003020106"))
    with pytest.raises(MalformedEvidence, match="certificate that can be read"):
        certificate("root", "root", ROOT_KEY, ROOT_KEY, extensions=[(feature, False)])


@pytest.mark.parametrize("serial", ["00", "ff", "80"])
def test_nonpositive_serial_number_is_malformed_without_the_library(
    monkeypatch: pytest.MonkeyPatch, serial: str
) -> None:
    """The library will reject such certificates in a future release; no verdict may depend on the installed release."""
    version = bytes.fromhex("a003020102")
    der = LEAF.der.replace(version + bytes.fromhex("020101"), version + bytes.fromhex("0201" + serial))
    assert der != LEAF.der
    monkeypatch.delattr(x509, "load_der_x509_certificate")
    with pytest.raises(MalformedEvidence):
        Certificate.parse(der)


@pytest.mark.parametrize(
    ("genuine", "forged"),
    [
        ("a003020102", "a003020103"),
        ("0c04" + b"leaf".hex(), "030400" + b"eaf".hex()),
        ("0603883702", "0603883701"),
        ("0603883703", "0603551d11"),
    ],
    ids=["version 4", "a name of bits", "an extension twice", "an alternative name of an unused kind"],
)
def test_library_parse_errors_are_malformed(genuine: str, forged: str) -> None:
    extensions = [(UNKNOWN, b"\5\0"), (x509.ObjectIdentifier("2.999.2"), b"\5\0")]
    extensions += [(x509.ObjectIdentifier("2.999.3"), bytes.fromhex("3002a300"))]
    unknown = [(x509.UnrecognizedExtension(oid, value), False) for oid, value in extensions]
    der = certificate("leaf", "middle", LEAF_KEY, MIDDLE_KEY, ca=False, signs=False, extensions=unknown).der
    assert der.count(bytes.fromhex(genuine)) == 1
    with pytest.raises(MalformedEvidence, match="certificate that can be read"):
        Certificate.parse(der.replace(bytes.fromhex(genuine), bytes.fromhex(forged)))


@pytest.mark.parametrize("known", [x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), ALTERNATIVE])
def test_supported_critical_extensions_are_accepted(known: x509.ExtensionType) -> None:
    middle = certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, extensions=[(known, True)])
    leaf = certificate("leaf", "middle", LEAF_KEY, MIDDLE_KEY, ca=False, signs=False, extensions=[(known, True)])
    assert find_path(leaf, (ROOT, middle), ROOT.fingerprint())[0] == (leaf, middle, ROOT)


@pytest.mark.parametrize("place", ["leaf", "middle", "root"])
def test_unsupported_critical_extension_breaks_the_path(place: str) -> None:
    def extensions(name: str) -> list[tuple[x509.ExtensionType, bool]]:
        return [(x509.UnrecognizedExtension(UNKNOWN, b"\5\0"), name == place)]

    root = certificate("root", "root", ROOT_KEY, ROOT_KEY, extensions=extensions("root"))
    middle = certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, extensions=extensions("middle"))
    leaf = certificate("leaf", "middle", LEAF_KEY, MIDDLE_KEY, ca=False, signs=False, extensions=extensions("leaf"))
    path, why = find_path(leaf, (root, middle), root.fingerprint())
    assert path is None
    assert "critical extension 2.999.1, which is not understood" in why


@given(st.binary(max_size=300), st.integers(0, 10_000))
def test_arbitrary_bytes_are_a_certificate_or_malformed(data: bytes, place: int) -> None:
    start = place % len(LEAF.der)
    for candidate in (data, LEAF.der[:start] + data + LEAF.der[start + len(data) :]):
        try:
            Certificate.parse(candidate)
        except MalformedEvidence:
            pass


class Counted(tuple[Certificate, ...]):
    """A pool of certificates that counts its iterations."""

    rounds = 0

    def __iter__(self) -> Iterator[Certificate]:
        self.rounds += 1
        return super().__iter__()


def test_path_search_visits_each_certificate_once() -> None:
    """Otherwise a dozen CAs that certify each other would keep the verifier busy."""
    crowd = [certificate("a", "a", MIDDLE_KEY, MIDDLE_KEY, path_length=length) for length in range(4, 16)]
    pool = Counted(crowd)
    leaf = certificate("leaf", "a", LEAF_KEY, MIDDLE_KEY, ca=False, signs=False)
    assert find_path(leaf, pool, ROOT.fingerprint())[0] is None
    assert pool.rounds == 1 + len(crowd)


@pytest.mark.parametrize("digest", [hashes.SHA224(), hashes.SHA3_256()])
def test_signature_with_another_hash_is_rejected(digest: hashes.SHA224 | hashes.SHA3_256) -> None:
    leaf = certificate("leaf", "root", LEAF_KEY, ROOT_KEY, ca=False, signs=False, digest=digest)
    path, why = find_path(leaf, (ROOT,), ROOT.fingerprint())
    assert path is None
    assert "an algorithm that is not accepted" in why


@pytest.mark.parametrize("digest", [hashes.SHA384(), hashes.SHA512()])
def test_signature_with_a_longer_hash_is_accepted(digest: hashes.SHA384 | hashes.SHA512) -> None:
    leaf = certificate("leaf", "root", LEAF_KEY, ROOT_KEY, ca=False, signs=False, digest=digest)
    assert find_path(leaf, (ROOT,), ROOT.fingerprint())[0] == (leaf, ROOT)


def test_signature_with_an_unknown_algorithm_is_rejected() -> None:
    known = bytes.fromhex("06082a8648ce3d040302")
    assert LEAF.der.count(known) == 2
    leaf = Certificate.parse(LEAF.der.replace(known, known[:-1] + b"\x7f"))
    path, why = find_path(leaf, (ROOT, MIDDLE), ROOT.fingerprint())
    assert path is None
    assert why == "a certificate of the path is not signed by the key of its issuer"


def test_signature_type_must_fit_the_issuers_key() -> None:
    large = rsa.generate_private_key(65537, 2048)
    root = certificate("root", "root", large, large)
    path, why = find_path(MIDDLE, (root,), root.fingerprint())
    assert path is None
    assert why == "a certificate of the path is not signed by the key of its issuer"


def test_only_possible_issuers_are_considered() -> None:
    """Other vendors' certificates are in the same collateral."""
    other = certificate("other", "other", key(), key())
    assert issuers_among(LEAF, (other, ROOT, MIDDLE)) == (MIDDLE, ROOT)
    assert issuers_among(LEAF, (ROOT, other), (MIDDLE,)) == (ROOT,)
    assert issuers_among(LEAF, ()) == issuers_among(LEAF, (other,)) == ()


def test_issuer_search_is_limited_by_path_length() -> None:
    keys = [key() for _ in range(7)]
    chain = [certificate(str(i), str(i + 1), keys[i], keys[i + 1]) for i in range(6)]
    assert issuers_among(chain[0], list(reversed(chain[1:]))) == tuple(chain[1:6])


def plain(
    issuer_key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    *extensions: x509.ExtensionType,
    subject_key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
) -> Certificate:
    """A self-signed certificate of ``root`` with exactly these extensions."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.public_key((subject_key or issuer_key).public_key())
    builder = builder.not_valid_before(AT).not_valid_after(AT + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Certificate.parse(builder.sign(issuer_key, algorithm).public_bytes(serialization.Encoding.DER))


def below(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> Certificate:
    return plain(key, subject_key=ec.generate_private_key(ec.SECP256R1()))


AUTHORITY = x509.BasicConstraints(ca=True, path_length=None)


@pytest.mark.parametrize(
    ("key", "accepted"),
    [
        (ec.generate_private_key(ec.SECP256R1()), True),
        (ec.generate_private_key(ec.SECP384R1()), True),
        (ec.generate_private_key(ec.SECP521R1()), False),
        (ec.generate_private_key(ec.SECP256K1()), False),
        (ed25519.Ed25519PrivateKey.generate(), False),
    ],
)
def test_unsupported_key_types_are_rejected(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, accepted: bool
) -> None:
    root = plain(key, AUTHORITY)
    path, why = find_path(below(key), (root,), root.fingerprint())
    assert (path is not None) == accepted
    assert ("an algorithm that is not accepted" in why) != accepted


def test_certificate_without_basic_constraints_is_not_a_ca() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    silent, root = plain(key), plain(key, AUTHORITY)
    assert find_path(below(key), (root,), root.fingerprint())[0] is not None
    path, why = find_path(below(key), (silent,), silent.fingerprint())
    assert path is None
    assert why == "an issuer of the path is not a certificate authority"


def sequence(content: bytes) -> bytes:
    """A DER SEQUENCE of 128 to 65535 bytes."""
    size = len(content)
    return (bytes((0x30, 0x81, size)) if size < 256 else b"\x30\x82" + size.to_bytes(2)) + content


def test_version_1_certificate_is_parsed_and_is_not_a_ca() -> None:
    """Version 1 has no extensions, so no basic constraints."""
    parsed, version = plain(ROOT_KEY).parsed, bytes.fromhex("a003020102")
    tbs, der = parsed.tbs_certificate_bytes, parsed.public_bytes(serialization.Encoding.DER)
    first = sequence(tbs[tbs.index(version) + len(version) :])
    old = Certificate.parse(sequence(first + der[der.index(tbs) + len(tbs) :]))
    assert old.parsed.version is x509.Version.v1
    path, why = find_path(MIDDLE, (old,), ROOT.fingerprint())
    assert path is None
    assert why == "an issuer of the path is not a certificate authority"


def test_ca_without_cert_sign_cannot_issue() -> None:
    barred = certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, signs=False)
    assert find_path(LEAF, (ROOT, barred), ROOT.fingerprint())[0] is None


def test_unknown_noncritical_extension_is_accepted() -> None:
    unknown = (x509.UnrecognizedExtension(UNKNOWN, b"\5\0"), False)
    middle = certificate("middle", "root", MIDDLE_KEY, ROOT_KEY, extensions=[unknown])
    leaf = certificate("leaf", "middle", LEAF_KEY, MIDDLE_KEY, ca=False, signs=False, extensions=[unknown])
    assert find_path(leaf, (ROOT, middle), ROOT.fingerprint())[0] == (leaf, middle, ROOT)


def test_certificate_signature_has_no_unused_bits() -> None:
    """The unused bit is clear, because the library itself rejects one that is set."""
    made = (certificate("leaf", "middle", LEAF_KEY, MIDDLE_KEY) for _ in range(64))
    der, signature = next((one.der, one.parsed.signature) for one in made if not one.parsed.signature[-1] & 1)
    place = len(der) - len(signature) - 1
    assert der[place] == 0
    padded = der[:place] + b"\1" + der[place + 1 :]
    assert x509.load_der_x509_certificate(padded).signature == signature
    with pytest.raises(MalformedEvidence):
        Certificate.parse(padded)
