"""A chain is leaf, signer and the root of its own product line; the root's CRL can revoke."""

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral_source import CERTIFICATE
from cloister.attestation.result.verdict import CheckOutcome, Recorder
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.snp.chain import check_period, check_revocation, find_chain
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.testkit import Processor
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.crl import RevocationList

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
PROCESSORS = {line: Processor.create(AT, line) for line in ProductLine}
ANCHORS = {line: processor.amd.anchor() for line, processor in PROCESSORS.items()}
MILAN = PROCESSORS[ProductLine.MILAN]
LEAF = EndorsementCertificate.parse(MILAN.certificate)


def issuers_of(processor: Processor) -> list[Certificate]:
    others = (der for der in processor.collateral().items(CERTIFICATE) if not is_endorsement(der))
    return [Certificate.parse(der) for der in others]


@pytest.mark.parametrize("line", ProductLine)
def test_root_of_the_product_line_is_used(line: ProductLine) -> None:
    processor = PROCESSORS[line]
    leaf = EndorsementCertificate.parse(processor.certificate)
    issuers = issuers_of(processor)
    for order in itertools.permutations(ANCHORS.values()):
        found, why = find_chain(leaf, issuers, order)
        assert found is not None, why
        assert found.root.der == processor.amd.root
    without = [anchor for other, anchor in ANCHORS.items() if other is not line]
    assert find_chain(leaf, issuers, without) == (None, f"no root key of {line} is pinned")


@pytest.mark.parametrize("name", ["SEV-Genoa", "SEV-Milan2", "SEV-VLEK-Milan", "ARK-Milan", ""])
def test_leaf_must_name_the_signer_of_its_kind_and_line(name: str) -> None:
    leaf = dataclasses.replace(LEAF, issuer_name=name)
    found = find_chain(leaf, issuers_of(MILAN), tuple(ANCHORS.values()))
    assert found == (None, f"the certificate's issuer is {name}, must be SEV-Milan")


@pytest.mark.parametrize("line", [ProductLine.GENOA, ProductLine.TURIN])
def test_certificates_of_other_names_are_not_tried(line: ProductLine) -> None:
    others = [*issuers_of(PROCESSORS[line]), Certificate.parse(MILAN.amd.root)]
    assert find_chain(LEAF, others, tuple(ANCHORS.values())) == (None, "no certificate of SEV-Milan is present")


def test_order_of_certificates_does_not_matter() -> None:
    every = [one for processor in PROCESSORS.values() for one in issuers_of(processor)]
    for order in (every, every[::-1]):
        found, why = find_chain(LEAF, order, tuple(ANCHORS.values()))
        assert found is not None, why


def test_validity_check_says_that_all_certificates_are_valid() -> None:
    checks = Recorder(("snp-validity",), CHECKS)
    found, _ = find_chain(LEAF, issuers_of(MILAN), (ANCHORS[ProductLine.MILAN],))
    check_period(checks, found, AT)
    (check,) = checks.finish()
    assert (check.outcome, check.found) == (CheckOutcome.PASSED, "all three are valid at 2026-03-01T12:00:00.000Z")


@pytest.mark.parametrize(("exponent", "accepted"), [(2**32 - 5, True), (2**32 + 15, False)])
def test_signing_key_with_a_long_exponent_is_rejected(exponent: int, accepted: bool) -> None:
    """Such certificates would keep the verifier busy for seconds."""
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    p, q = numbers.p, numbers.q
    d = pow(exponent, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    slow = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key()
    amd = MILAN.amd
    name = library.load_der_x509_certificate(amd.signers[SigningKey.VCEK][1]).subject
    builder = library.CertificateBuilder(name, name, slow.public_key(), 7, AT, AT + timedelta(days=1))
    signer = builder.sign(slow, hashes.SHA384()).public_bytes(serialization.Encoding.DER)
    service = dataclasses.replace(amd, signers={**amd.signers, SigningKey.VCEK: (slow, signer)})
    leaf = EndorsementCertificate.parse(service.certify(MILAN.key.public_key(), MILAN.tcb, hwid=MILAN.chip_id))
    assert leaf.signed_by(Certificate.parse(signer)) == accepted


def test_chain_with_another_intermediate_ca_is_rejected() -> None:
    """AMD's chains have three certificates; a chain with another authority is not AMD's."""
    signing_key, signer_der = MILAN.amd.signers[SigningKey.VCEK]
    signer = library.load_der_x509_certificate(signer_der)
    between_key = rsa.generate_private_key(65537, 2048)
    name = library.Name([library.NameAttribute(library.NameOID.COMMON_NAME, "Between")])
    root = library.load_der_x509_certificate(MILAN.amd.root)

    def issued(
        subject: library.Name, key: rsa.RSAPublicKey, issuer: library.Name, by: rsa.RSAPrivateKey
    ) -> Certificate:
        builder = library.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
        builder = builder.not_valid_before(AT - timedelta(days=1)).not_valid_after(AT + timedelta(days=1))
        constraints = library.BasicConstraints(ca=True, path_length=None)
        builder = builder.serial_number(7).add_extension(constraints, critical=True)
        scheme = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
        made = builder.sign(by, hashes.SHA384(), rsa_padding=scheme)
        return Certificate.parse(made.public_bytes(serialization.Encoding.DER))

    longer = [
        issued(signer.subject, signing_key.public_key(), name, between_key),
        issued(name, between_key.public_key(), root.subject, MILAN.amd.root_key),
        Certificate.parse(MILAN.amd.root),
    ]
    found, why = find_chain(LEAF, longer, (ANCHORS[ProductLine.MILAN],))
    assert found is None and why


def revocation(crl: bytes, **changes: int) -> dict[str, tuple[CheckOutcome, str]]:
    """Outcome and found value of the two checks."""
    checks = Recorder(("snp-crl", "snp-revocation"), CHECKS)
    found, _ = find_chain(LEAF, issuers_of(MILAN), (ANCHORS[ProductLine.MILAN],))
    section = SnpPolicy({ProductLine.MILAN: dict.fromkeys(TCB_KINDS, MILAN.tcb)}, **changes)
    check_revocation(checks, found, [RevocationList.parse(crl)], section, AT)
    return {check.name: (check.outcome, check.found) for check in checks.finish()}


def test_crl_up_to_the_maximum_age_is_accepted() -> None:
    for hours, outcome in (
        (0, CheckOutcome.PASSED),
        (47, CheckOutcome.PASSED),
        (48, CheckOutcome.PASSED),
        (49, CheckOutcome.FAILED),
    ):
        crl = MILAN.amd.crl(this_update=AT - timedelta(hours=hours), next_update=AT + timedelta(days=30))
        assert revocation(crl, max_crl_age_days=2)["snp-crl"][0] is outcome


def test_revocation_check_names_the_revoked_ca() -> None:
    good = revocation(MILAN.amd.crl())
    assert good["snp-revocation"] == (CheckOutcome.PASSED, "none of them")
    serials = [issuer.parsed.serial_number for issuer in issuers_of(MILAN)]
    bad = revocation(MILAN.amd.crl(revoked=serials))
    assert bad["snp-revocation"] == (CheckOutcome.FAILED, "the signing authority and the root revoked")
    assert bad["snp-crl"][0] is CheckOutcome.PASSED


@pytest.mark.parametrize(("member", "name"), [("signer", "its signer"), ("root", "the root")])
def test_every_certificate_of_the_chain_must_be_valid(member: str, name: str) -> None:
    second = timedelta(seconds=1)
    found, _ = find_chain(LEAF, issuers_of(MILAN), (ANCHORS[ProductLine.MILAN],))
    assert found is not None
    for change, outcome in (
        ({"not_after": AT}, CheckOutcome.PASSED),
        ({"not_after": AT - second}, CheckOutcome.FAILED),
        ({"not_before": AT}, CheckOutcome.PASSED),
        ({"not_before": AT + second}, CheckOutcome.FAILED),
    ):
        checks = Recorder(("snp-validity",), CHECKS)
        changed = dataclasses.replace(getattr(found, member), **change)
        check_period(checks, dataclasses.replace(found, **{member: changed}), AT)
        (check,) = checks.finish()
        assert check.outcome is outcome
        if outcome is CheckOutcome.FAILED:
            assert check.found.startswith(f"{name} is valid from ")


def test_certificate_for_an_unknown_product_line_has_no_chain() -> None:
    leaf = dataclasses.replace(LEAF, amd=dataclasses.replace(LEAF.amd, product_name="Rome-B0"))
    found = find_chain(leaf, issuers_of(MILAN), tuple(ANCHORS.values()))
    assert found == (None, "the certificate is for 'Rome-B0', which is not a known product line")


def test_without_a_chain_validity_and_crl_checks_do_not_apply() -> None:
    checks = Recorder(("snp-validity", "snp-crl", "snp-revocation"), CHECKS)
    check_period(checks, None, AT)
    assert check_revocation(checks, None, [], SnpPolicy({}), AT) == ""
    assert [(check.outcome, check.reason) for check in checks.finish()] == [
        (CheckOutcome.NOT_APPLICABLE, "there is no chain whose certificates could be checked"),
        (CheckOutcome.NOT_APPLICABLE, "there is no chain whose certificates could be revoked"),
        (CheckOutcome.NOT_APPLICABLE, "there is no chain whose certificates could be revoked"),
    ]


def test_expired_crl_does_not_prove_that_a_certificate_is_valid() -> None:
    old = MILAN.amd.crl(this_update=AT - timedelta(days=400))
    assert revocation(old, require_crl=False)["snp-revocation"] == (CheckOutcome.NOT_APPLICABLE, "")
    assert revocation(old, max_crl_age_days=2)["snp-crl"][0] is CheckOutcome.FAILED


def test_crl_check_names_the_maximum_age() -> None:
    checks = Recorder(("snp-crl", "snp-revocation"), CHECKS)
    found, _ = find_chain(LEAF, issuers_of(MILAN), (ANCHORS[ProductLine.MILAN],))
    check_revocation(checks, found, [RevocationList.parse(MILAN.amd.crl())], SnpPolicy({}, max_crl_age_days=2), AT)
    assert checks.finish()[0].expected.endswith("current at 2026-03-01T12:00:00.000Z, at most 2 days old")
