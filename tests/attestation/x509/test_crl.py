"""Revocation lists: which list of an issuer is current, and when."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.testkit import Amd
from cloister.attestation.x509 import crl
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList
from tests.shared_files import VECTORS

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = timedelta(seconds=1)
AMD = Amd.create(AT)
ROOT = Certificate.parse(AMD.root)
SIGNER = Certificate.parse(AMD.signers[SigningKey.VCEK][1])
LIST = AMD.crl(revoked=[5, 7])


def extended(*extensions: tuple[library.ExtensionType, bool]) -> bytes:
    """A list of the root with extensions, each critical or not."""
    root = library.load_der_x509_certificate(AMD.root)
    builder = library.CertificateRevocationListBuilder().issuer_name(root.subject)
    builder = builder.last_update(AT - ONE).next_update(AT + ONE)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(AMD.root_key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def test_crl_has_serial_numbers_and_validity() -> None:
    parsed = RevocationList.parse(LIST)
    assert parsed.serials == {5, 7}
    assert parsed.issuer == ROOT.subject
    assert (parsed.this_update, parsed.next_update) == (AT - timedelta(days=1), AT + timedelta(days=179))
    assert parsed.signed_by(ROOT)
    assert crl.current([parsed], ROOT, AT) == (parsed, "")


def test_crl_period_includes_both_ends() -> None:
    parsed = RevocationList.parse(LIST)
    times = (parsed.this_update - ONE, parsed.this_update, parsed.next_update, parsed.next_update + ONE)
    assert [parsed.current_at(time) for time in times] == [False, True, True, False]


def test_newest_current_crl_is_used() -> None:
    made = [AT - timedelta(days=days) for days in (9, 3, 6)] + [AT + ONE]
    lists = [RevocationList.parse(AMD.crl(this_update=time)) for time in made]
    found, _ = crl.current(lists, ROOT, AT)
    assert found is lists[1]


def test_list_of_another_issuer_is_ignored() -> None:
    other = Amd.create(AT)
    forged = RevocationList.parse(AMD.crl(key=other.root_key, revoked=[1]))
    assert crl.current([forged], ROOT, AT) == (None, "a list of that issuer is not signed by its key")
    assert not crl.revoked([forged], ROOT, 1)
    assert crl.current([RevocationList.parse(LIST)], SIGNER, AT) == (None, "there is no list of that issuer")
    assert crl.current([], ROOT, AT)[0] is None


def test_ca_without_crl_sign_cannot_sign_crls() -> None:
    """AMD's ASK and ASVK sign certificates only."""
    name = library.load_der_x509_certificate(SIGNER.der).subject
    key, _ = AMD.signers[SigningKey.VCEK]
    builder = library.CertificateRevocationListBuilder().issuer_name(name).last_update(AT).next_update(AT + ONE)
    parsed = RevocationList.parse(builder.sign(key, hashes.SHA384()).public_bytes(serialization.Encoding.DER))
    assert not parsed.signed_by(SIGNER)


def test_certificate_revoked_by_any_crl_stays_revoked() -> None:
    lists = [RevocationList.parse(AMD.crl(revoked=[9], this_update=AT - timedelta(days=900)))]
    assert crl.current(lists, ROOT, AT)[0] is None
    assert crl.revoked(lists, ROOT, 9)
    assert not crl.revoked(lists, ROOT, 8)


def test_partial_crl_is_ignored() -> None:
    whole = RevocationList.parse(extended((library.CRLNumber(3), False)))
    assert crl.current([whole], ROOT, AT) == (whole, "")
    part = RevocationList.parse(extended((library.DeltaCRLIndicator(2), True)))
    found, why = crl.current([part], ROOT, AT)
    assert found is None
    assert "critical extension 2.5.29.27" in why


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384()])
def test_ecdsa_signed_crls_are_parsed(algorithm: hashes.SHA256 | hashes.SHA384) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = library.Name([library.NameAttribute(library.NameOID.COMMON_NAME, "Root")])
    certificate = (
        library.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + ONE)
        .sign(key, hashes.SHA256())
    )
    builder = library.CertificateRevocationListBuilder().issuer_name(name).last_update(AT).next_update(AT + ONE)
    data = builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)
    issuer = Certificate.parse(certificate.public_bytes(serialization.Encoding.DER))
    assert RevocationList.parse(data).signed_by(issuer)


def test_truncated_crl_is_malformed() -> None:
    for length in range(len(LIST)):
        with pytest.raises(MalformedEvidence):
            RevocationList.parse(LIST[:length])


def test_flipped_bit_is_malformed_or_breaks_the_signature() -> None:
    choice = random.Random(5280)
    for index in range(len(LIST)):
        flipped = LIST[:index] + bytes((LIST[index] ^ 1 << choice.randrange(8),)) + LIST[index + 1 :]
        try:
            assert not RevocationList.parse(flipped).signed_by(ROOT), index
        except MalformedEvidence:
            pass


@given(st.binary(max_size=256))
def test_arbitrary_bytes_are_a_crl_or_malformed(data: bytes) -> None:
    try:
        RevocationList.parse(data)
    except MalformedEvidence:
        pass


def test_crl_size_is_limited() -> None:
    with pytest.raises(MalformedEvidence, match="at most"):
        RevocationList.parse(bytes(crl.MAX_SIZE + 1))


@pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is absent: evidence of real machines")
def test_intel_crls_are_parsed() -> None:
    parsed = RevocationList.parse((VECTORS / "tdx" / "pckcrl").read_bytes())
    assert len(parsed.serials) == 44
    assert not parsed.unknown_critical


def resized(der: bytes, place: int, change: int) -> bytes:
    """``der`` with the two-byte length at ``place`` changed by ``change``."""
    length = int.from_bytes(der[place : place + 2]) + change
    return der[:place] + length.to_bytes(2) + der[place + 2 :]


def test_crl_size_limit_is_exact() -> None:
    def padded(size: int) -> bytes:
        return extended((library.UnrecognizedExtension(library.ObjectIdentifier("2.999.1"), bytes(size)), False))

    fill = 4096 + crl.MAX_SIZE - len(padded(4096))
    fill -= len(padded(fill)) - crl.MAX_SIZE  # the lengths in front of a longer filling are longer
    assert crl.MAX_SIZE == len(padded(fill)) == 2**18
    assert RevocationList.parse(padded(fill)).signed_by(ROOT)
    with pytest.raises(MalformedEvidence, match="at most 262144 are allowed") as caught:
        RevocationList.parse(padded(fill + 1))
    assert caught.value.offset == 0


def test_crl_without_next_update_is_malformed() -> None:
    """The library cannot build a CRL without nextUpdate, so the test removes it from the bytes."""
    der = AMD.crl(revoked=range(1, 40))
    start = [place for place in range(len(der)) if der[place : place + 2] in (b"\x17\x0d", b"\x18\x0f")][1]
    size = 2 + der[start + 1]
    endless = der[:start] + der[start + size :]
    assert der[0:2] == der[4:6] == b"\x30\x82"
    endless = resized(resized(endless, 2, -size), 6, -size)
    assert library.load_der_x509_crl(endless).next_update_utc is None
    with pytest.raises(MalformedEvidence, match="can be read") as caught:
        RevocationList.parse(endless)
    assert caught.value.offset == 0


def test_crl_signature_has_no_unused_bits() -> None:
    """The unused bit is clear, because the library itself rejects one that is set."""
    made = (library.load_der_x509_crl(AMD.crl()) for _ in range(64))
    der, signature = next(
        (one.public_bytes(serialization.Encoding.DER), one.signature) for one in made if not one.signature[-1] & 1
    )
    place = len(der) - len(signature) - 1
    padded = der[:place] + b"\1" + der[place + 1 :]
    assert library.load_der_x509_crl(padded).signature == signature
    with pytest.raises(MalformedEvidence):
        RevocationList.parse(padded)


def authority(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey, name: str
) -> tuple[Certificate, library.CertificateRevocationListBuilder]:
    """A CA's certificate, and its CRL, ready to be signed."""
    known = library.Name([library.NameAttribute(library.NameOID.COMMON_NAME, name)])
    certificate = (
        library.CertificateBuilder()
        .issuer_name(known)
        .subject_name(known)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT)
        .not_valid_after(AT + ONE)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    builder = library.CertificateRevocationListBuilder().issuer_name(known).last_update(AT).next_update(AT + ONE)
    return Certificate.parse(certificate.public_bytes(serialization.Encoding.DER)), builder


def test_crl_must_name_its_issuer() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root, builder = authority(key, "Root")
    namesake, _ = authority(key, "Other")
    signed = RevocationList.parse(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    assert signed.signed_by(root)
    assert not signed.signed_by(namesake)


def test_crl_signed_with_another_key_type_is_ignored() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    root, builder = authority(key, "Root")
    signed = RevocationList.parse(builder.sign(key, None).public_bytes(serialization.Encoding.DER))
    assert not signed.signed_by(root)


def test_crl_signed_with_dsa_is_ignored() -> None:
    """The library would accept it."""
    key = dsa.generate_private_key(1024)
    root, builder = authority(key, "Root")
    signed = RevocationList.parse(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
    assert signed.parsed.is_signature_valid(key.public_key())
    assert not signed.signed_by(root)


def test_crl_signed_with_another_hash_is_ignored() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root, builder = authority(key, "Root")
    signed = RevocationList.parse(builder.sign(key, hashes.SHA224()).public_bytes(serialization.Encoding.DER))
    assert signed.parsed.is_signature_valid(key.public_key())
    assert not signed.signed_by(root)


def test_list_with_an_unknown_algorithm_is_ignored() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    root, builder = authority(key, "Root")
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    known = bytes.fromhex("06082a8648ce3d040302")
    assert der.count(known) == 2
    assert not RevocationList.parse(der.replace(known, known[:-1] + b"\x7f")).signed_by(root)
