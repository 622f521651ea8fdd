"""Paths to Intel's root: length, names and key types."""

import dataclasses
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import CERTIFICATE, InMemory
from cloister.attestation.tdx.certificates import PCK_ISSUERS, PCK_NAME, SIGNER_NAME
from cloister.attestation.tdx.collateral import IntelCollateral, pck_path, signer_path
from cloister.attestation.tdx.signatures import is_signed_by, is_signed_with
from cloister.attestation.tdx.tcb_info import TcbInfo
from cloister.attestation.testkit import Intel
from cloister.attestation.testkit.intel import ROOT_NAME, certify
from cloister.attestation.x509.certificate import Certificate

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTEL = Intel.create(AT)
ANCHOR = INTEL.anchor()
ROOT, AUTHORITY, PCK, SIGNER = map(Certificate.parse, (INTEL.root, INTEL.authority, INTEL.pck, INTEL.signer))
STATEMENT = TcbInfo.parse(INTEL.statement("tcbInfo", INTEL.tcb_info()))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: str,
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    ca: int | None = None,
) -> Certificate:
    return Certificate.parse(certify(AT, issuer_key, issuer, subject, key, ca=ca))


def gathered(*certificates: Certificate) -> IntelCollateral:
    return IntelCollateral((), certificates, (), (), ())


def signed_by(key: ec.EllipticCurvePrivateKey) -> TcbInfo:
    return TcbInfo.parse(INTEL.statement("tcbInfo", INTEL.tcb_info(), key))


def test_paths_of_real_intel_certificates_are_found() -> None:
    assert pck_path((PCK, AUTHORITY, ROOT), ANCHOR).certificates == (PCK, AUTHORITY, ROOT)
    assert signer_path(STATEMENT, gathered(SIGNER, ROOT), ANCHOR).certificates == (SIGNER, ROOT)


def test_root_cannot_issue_a_pck_directly() -> None:
    direct = certificate(INTEL.root_key, ROOT_NAME, PCK_NAME, INTEL.pck_key)
    path = pck_path((direct, ROOT), ANCHOR)
    assert path.certificates == ()
    assert path.why == f"the path is {PCK_NAME}, which is not that of a platform's key"


def test_pck_ca_cannot_issue_another_ca() -> None:
    upper_key, lower_key = new_key(), new_key()
    generous = certificate(INTEL.root_key, ROOT_NAME, ROOT_NAME, INTEL.root_key, 2)  # Intel's allows one below it
    upper = certificate(INTEL.root_key, ROOT_NAME, PCK_ISSUERS[1], upper_key, 1)
    lower = certificate(upper_key, PCK_ISSUERS[1], PCK_ISSUERS[0], lower_key, 0)
    leaf = certificate(lower_key, PCK_ISSUERS[0], PCK_NAME, INTEL.pck_key)
    path = pck_path((leaf, lower, upper, generous), ANCHOR)
    assert path.certificates == ()
    assert "which is not that of a platform's key" in path.why


@pytest.mark.parametrize(
    ("leaf", "issuer"), [("Intel SGX Something", PCK_ISSUERS[0]), (PCK_NAME, "Intel Something CA")]
)
def test_pck_certificate_and_ca_must_have_their_names(leaf: str, issuer: str) -> None:
    key = new_key()
    authority = certificate(INTEL.root_key, ROOT_NAME, issuer, key, 0)
    path = pck_path((certificate(key, issuer, leaf, INTEL.pck_key), authority, ROOT), ANCHOR)
    assert path.certificates == ()
    assert path.why == f"the path is {leaf}, {issuer}, which is not that of a platform's key"


@pytest.mark.parametrize("issuer", PCK_ISSUERS)
def test_pck_platform_and_processor_ca_are_accepted(issuer: str) -> None:
    key = new_key()
    authority = certificate(INTEL.root_key, ROOT_NAME, issuer, key, 0)
    leaf = certificate(key, issuer, PCK_NAME, INTEL.pck_key)
    assert pck_path((leaf, authority, ROOT), ANCHOR).certificates == (leaf, authority, ROOT)


def test_key_for_another_purpose_cannot_sign_statements() -> None:
    path = signer_path(signed_by(INTEL.authority_key), gathered(AUTHORITY, SIGNER, ROOT), ANCHOR)
    assert path.certificates == ()
    assert path.why == "no available key of Intel's signed it"


def test_uncertified_signer_is_rejected() -> None:
    key = new_key()
    forged = certificate(new_key(), ROOT_NAME, SIGNER_NAME, key)
    path = signer_path(signed_by(key), gathered(forged, ROOT), ANCHOR)
    assert path.certificates == ()
    assert "not signed by the key of its issuer" in path.why


def test_certificate_with_the_signers_name_does_not_hide_the_signer() -> None:
    others = [certificate(new_key(), ROOT_NAME, SIGNER_NAME, INTEL.signer_key), rsa_certificate()]
    path = signer_path(STATEMENT, gathered(*others, SIGNER, ROOT), ANCHOR)
    assert path.certificates == (SIGNER, ROOT)


def rsa_certificate() -> Certificate:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SIGNER_NAME)])
    builder = x509.CertificateBuilder().issuer_name(name).subject_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(AT).not_valid_after(AT.replace(year=2027))
    return Certificate.parse(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))


def test_key_on_another_curve_is_rejected() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    r, s = utils.decode_dss_signature(key.sign(b"data", ec.ECDSA(hashes.SHA256())))
    key.public_key().verify(utils.encode_dss_signature(r, s), b"data", ec.ECDSA(hashes.SHA256()))
    assert not is_signed_with(key.public_key(), r.to_bytes(32) + s.to_bytes(32), b"data")


def test_signature_covers_these_bytes() -> None:
    key = INTEL.signer_key.public_key()
    assert is_signed_with(key, STATEMENT.signature, STATEMENT.body)
    assert not is_signed_with(key, STATEMENT.signature, STATEMENT.body + b" ")
    assert not is_signed_with(key, bytes(64), STATEMENT.body)
    other = dataclasses.replace(STATEMENT, signature=STATEMENT.signature[32:] + STATEMENT.signature[:32])
    assert not is_signed_by(SIGNER, other.signature, other.body)


def test_unparsable_certificate_does_not_hide_later_ones() -> None:
    usable = UsableCollateral((), InMemory({CERTIFICATE: (b"no certificate", INTEL.signer)}))
    found = IntelCollateral.gather((ROOT,), usable)
    assert [one.der for one in found.certificates] == [INTEL.root, INTEL.signer]
