"""Requests follow each vendor's documentation; unexpected answers are rejected and reported."""

import dataclasses
import datetime
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from cloister.attestation.binding import SessionBinding
from cloister.attestation.collateral_source import CERTIFICATE, CRL, LAUNCH_ENDORSEMENT, QE_IDENTITY, TCB_INFO
from cloister.attestation.raw.verifier import RawSnp
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.testkit import Processor, RsaTpm
from cloister.attestation.testkit.google import GcpSnpMachine
from cloister.client.collateral import amd, azure, google, intel
from cloister.client.collateral.evidence_requests import requests_for
from cloister.client.collateral.request import CollateralRequest
from tests.client.collateral import services
from tests.client.collateral.services import ISSUER, LEAF, NOW, Reply, Server, pem, revocations, signed

MONTH = NOW + datetime.timedelta(days=30)
FMSPC = "90c06f000000"
MILAN = TcbVersion(3, 0, 8, 115)
TURIN = TcbVersion(1, 0, 4, 67, fmc=1)
CHIP = bytes(range(64))


def intel_questions(server: Server) -> tuple[CollateralRequest, ...]:
    root = f"{server.address}/IntelSGXRootCA.der"
    return intel.requests(FMSPC, "platform", service=server.address, root_crl=root)


def test_intel_returns_tcb_info_identity_crls_and_chains(server: Server, asking) -> None:
    services.intel(server, FMSPC, "platform", until=MONTH)
    found = asking.network().fetch(intel_questions(server))

    assert found.problems == ()
    counts = {kind: len(found.collateral.items(kind)) for kind in (TCB_INFO, QE_IDENTITY, CRL, CERTIFICATE)}
    assert counts == {TCB_INFO: 1, QE_IDENTITY: 1, CRL: 2, CERTIFICATE: 2}
    assert found.collateral.items(TCB_INFO) == (signed("tcbInfo", MONTH),)
    assert server.asked == [
        f"/tdx/certification/v4/tcb?fmspc={FMSPC}",
        "/tdx/certification/v4/qe/identity",
        "/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
        "/IntelSGXRootCA.der",
    ]


def test_amd_returns_the_certificate_of_a_chip_at_a_tcb(server: Server, asking) -> None:
    milan = amd.vcek_request(ProductLine.MILAN, CHIP, MILAN, service=server.address)
    turin = amd.vcek_request(ProductLine.TURIN, CHIP, TURIN, service=server.address)

    assert milan.address.removeprefix(server.address) == (
        f"/vcek/v1/Milan/{CHIP.hex()}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"
    )
    assert turin.address.removeprefix(server.address) == (
        f"/vcek/v1/Turin/{CHIP[:8].hex()}?fmcSPL=01&blSPL=01&teeSPL=00&snpSPL=04&ucodeSPL=67"
    )


def test_amd_returns_issuers_and_crls(server: Server, asking) -> None:
    server.reply("/vcek/v1/Genoa/cert_chain", Reply(pem(LEAF, ISSUER.certificate).encode()))
    server.reply("/vlek/v1/Genoa/crl", Reply(revocations(MONTH)))
    questions = [
        amd.chain_request(ProductLine.GENOA, service=server.address),
        amd.crl_request(ProductLine.GENOA, vlek=True, service=server.address),
    ]
    found = asking.network().fetch(questions)

    assert found.problems == ()
    assert found.collateral.items(CERTIFICATE) == (LEAF, ISSUER.certificate)
    assert len(found.collateral.items(CRL)) == 1


def test_google_returns_the_endorsement_of_a_measurement(server: Server, asking) -> None:
    path = f"/gce_tcb_integrity/ovmf_x64_csm/sevsnp/{bytes(48).hex()}.binarypb"
    server.reply(path, Reply(b"\x0a\x01x\x12\x01y"))
    found = asking.network().fetch([google.endorsement_request("sevsnp", bytes(48), service=server.address)])

    assert found.collateral.items(LAUNCH_ENDORSEMENT) == (b"\x0a\x01x\x12\x01y",)


def test_azure_returns_the_certificate_of_its_own_machine(server: Server, asking) -> None:
    body = {"vcekCert": pem(LEAF), "certificateChain": pem(ISSUER.certificate), "tcbm": "D3", "cacheControl": "86400"}
    server.reply("/metadata/THIM/amd/certification", Reply(json.dumps(body).encode()))
    found = asking.network().fetch([azure.certificate_request(service=server.address)])

    assert found.collateral.items(CERTIFICATE) == (LEAF, ISSUER.certificate)
    assert server.seen[0]["metadata"] == "true"


PAGE = b"<html><body>Sign in to the network</body></html>"
CHAIN = {"TCB-Info-Issuer-Chain": "x"}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(PAGE),
        Reply(b""),
        Reply(b"null"),
        Reply(b'{"tcbInfo":{},"signature":""}', headers=CHAIN),
        Reply(signed("enclaveIdentity", MONTH), headers=CHAIN),
        Reply(signed("tcbInfo", MONTH)),
        Reply(signed("tcbInfo", MONTH), headers=CHAIN),
        Reply(b"x" * (1 << 18)),
    ],
    ids=["page", "empty", "null", "no-date", "other-document", "no-chain", "no-certificates", "too-large"],
)
def test_wrong_content_is_rejected_and_not_cached(server: Server, asking, reply: Reply) -> None:
    services.intel(server, FMSPC, "platform", until=MONTH)
    good = server.replies[f"/tdx/certification/v4/tcb?fmspc={FMSPC}"]
    server.reply(f"/tdx/certification/v4/tcb?fmspc={FMSPC}", reply)
    found = asking.network().fetch(intel_questions(server))

    assert len(found.problems) == 1
    assert f"the TCB info of the platforms {FMSPC}" in found.problems[0]
    assert found.collateral.items(TCB_INFO) == ()
    server.reply(f"/tdx/certification/v4/tcb?fmspc={FMSPC}", *good)
    assert asking.network().fetch(intel_questions(server)).problems == ()


def test_wrong_content_of_the_other_vendors_is_rejected(server: Server, asking) -> None:
    questions = [
        amd.vcek_request(ProductLine.MILAN, CHIP, MILAN, service=server.address),
        amd.chain_request(ProductLine.MILAN, service=server.address),
        amd.crl_request(ProductLine.MILAN, service=server.address),
        google.endorsement_request("tdx", bytes(48), service=server.address),
        azure.certificate_request(service=server.address),
    ]
    for question in questions:
        server.reply(question.address.removeprefix(server.address), Reply(PAGE))
    found = asking.network().fetch(questions)

    assert len(found.problems) == len(questions)
    assert found.collateral.contents == {}
    assert not asking.folder.exists()


def test_text_that_is_not_ascii_is_rejected(server: Server, asking) -> None:
    for said in ("\\ud800", "\\u00e9"):
        body = f'{{"vcekCert":"{said}","certificateChain":"{said}"}}'
        server.reply("/metadata/THIM/amd/certification", Reply(body.encode()))
        (problem,) = asking.network().fetch([azure.certificate_request(service=server.address)]).problems
        assert "not ASCII" in problem


def test_expired_collateral_is_rejected(server: Server, asking) -> None:
    services.intel(server, FMSPC, "platform", until=NOW)
    found = asking.network().fetch(intel_questions(server))

    assert len(found.problems) == 4
    assert all("expired at 2026-03-20 12:00:00" in problem for problem in found.problems)


def test_failing_service_does_not_affect_other_answers(server: Server, asking) -> None:
    services.intel(server, FMSPC, "platform", until=MONTH)
    server.reply("/tdx/certification/v4/qe/identity", Reply(status=500))
    found = asking.network().fetch(intel_questions(server))

    assert len(found.problems) == 1
    assert found.collateral.items(TCB_INFO) and not found.collateral.items(QE_IDENTITY)
    assert asking.waited == [1.0, 2.0, 4.0]


def test_answer_is_requested_once_a_day(server: Server, asking) -> None:
    services.intel(server, FMSPC, "platform", until=MONTH)
    for hours, asked in ((0, 4), (23, 4), (24, 8), (25, 8)):
        asking.now = NOW + datetime.timedelta(hours=hours)
        assert asking.network().fetch(intel_questions(server)).problems == ()
        assert len(server.asked) == asked


def test_cached_answer_is_used_offline_until_it_expires(server: Server, asking) -> None:
    services.intel(server, FMSPC, "platform", until=MONTH)
    first = asking.network().fetch(intel_questions(server))
    server.replies.clear()
    asking.now = MONTH - datetime.timedelta(seconds=1)
    assert asking.network().fetch(intel_questions(server)) == first
    asking.now = MONTH
    gone = asking.network().fetch(intel_questions(server))

    assert (len(gone.problems), gone.collateral.contents) == (4, {})


def test_chip_certificate_is_requested_once(server: Server, asking) -> None:
    question = google.endorsement_request("tdx", bytes(48), service=server.address)
    server.reply(question.address.removeprefix(server.address), Reply(b"\x0a\x01x\x12\x01y"))
    for years in range(4):
        asking.now = NOW + datetime.timedelta(days=365 * years)
        assert asking.network().fetch([question]).problems == ()

    assert len(server.asked) == 1


@pytest.mark.parametrize(("fmspc", "authority"), [("90C06F000000", "platform"), ("x&a=b", "platform"), (FMSPC, "a")])
def test_invalid_values_do_not_get_into_an_address(fmspc: str, authority: str) -> None:
    with pytest.raises(ValueError, match="FMSPC"):
        intel.requests(fmspc, authority)


BUCKET = "privateca-content-62d71773-0000-21da-852e-f4f5e80d7778"


def authority(address: str) -> bytes:
    """A certificate with ``address`` as that of its issuer's certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EK/AK CA")])
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(address))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + datetime.timedelta(days=9000))
    builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_google_issuers_are_requested_up_to_the_root(server: Server, asking) -> None:
    host = f"http://{BUCKET}.storage.googleapis.com"
    leaf = authority(f"{host}/0123456789abcdef0123/ca.crt")
    intermediate = authority(f"{host}/032bf9d39db4fa06aade/ca.crt")
    server.reply(f"/{BUCKET}/0123456789abcdef0123/ca.crt", Reply(intermediate))
    server.reply(f"/{BUCKET}/032bf9d39db4fa06aade/ca.crt", Reply(pem(ISSUER.certificate).encode()))
    found = asking.network().fetch(google.issuer_requests(leaf, service=server.address))

    assert found.problems == ()
    assert found.collateral.items(CERTIFICATE) == (intermediate, ISSUER.certificate)
    assert server.asked == [f"/{BUCKET}/0123456789abcdef0123/ca.crt", f"/{BUCKET}/032bf9d39db4fa06aade/ca.crt"]


@pytest.mark.parametrize(
    "address",
    [
        "http://attacker.example/032bf9d39db4fa06aade/ca.crt",
        f"http://{BUCKET}.storage.googleapis.com.attacker.example/032bf9d39db4fa06aade/ca.crt",
        f"http://{BUCKET}.storage.googleapis.com/../other/ca.crt",
        f"http://{BUCKET}.storage.googleapis.com/032bf9d39db4fa06aade/ca.crt?x",
        "http://169.254.169.254/032bf9d39db4fa06aade/ca.crt",
        "file:///etc/passwd",
    ],
)
def test_machine_cannot_choose_the_address_of_a_request(address: str) -> None:
    assert google.issuer_requests(authority(address)) == ()


def test_authorities_that_name_each_other_end_the_requests(server: Server, asking) -> None:
    paths = [f"/{place}/ca.crt" for place in ("aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb")]
    first, second = (authority(f"http://{BUCKET}.storage.googleapis.com{path}") for path in paths)
    server.reply(f"/{BUCKET}{paths[0]}", Reply(second))
    server.reply(f"/{BUCKET}{paths[1]}", Reply(first))
    asking.network().fetch(google.issuer_requests(first, service=server.address))

    assert server.asked == [f"/{BUCKET}{path}" for path in paths]


def featured() -> bytes:
    """A certificate with a TLS feature that the library has no name for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vTPM")])
    feature = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), bytes.fromhex("3003020106"))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + datetime.timedelta(days=9000))
    signed = builder.add_extension(feature, critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("certificate", [b"", b"no certificate", LEAF, featured()])
def test_certificate_without_an_issuer_address_needs_no_request(certificate: bytes) -> None:
    assert google.issuer_requests(certificate) == ()


def test_issuer_address_with_other_content_is_not_an_answer(server: Server, asking) -> None:
    leaf = authority(f"http://{BUCKET}.storage.googleapis.com/032bf9d39db4fa06aade/ca.crt")
    server.reply(f"/{BUCKET}/032bf9d39db4fa06aade/ca.crt", Reply(revocations(NOW + datetime.timedelta(days=1))))
    found = asking.network().fetch(google.issuer_requests(leaf, service=server.address))

    assert len(found.problems) == 1
    assert found.collateral.items(CRL) == ()


def test_chip_certificate_in_the_evidence_is_not_requested() -> None:
    processor = Processor.create(NOW)
    report = RawSnp(processor.report())
    assert [one.address.split("?")[0].rsplit("/", 1)[1] for one in requests_for(report)] == [
        processor.chip_id.hex(),
        "cert_chain",
        "crl",
    ]
    asked = requests_for(report, (processor.certificate,))
    assert [one.address.rsplit("/", 1)[1] for one in asked] == ["cert_chain", "crl"]


def test_wrong_or_malformed_certificate_does_not_suppress_a_request() -> None:
    processor, other = Processor.create(NOW), Processor.create(NOW)
    older = other.amd.certify(other.key.public_key(), MILAN, hwid=processor.chip_id)
    elsewhere = other.amd.certify(other.key.public_key(), other.tcb, hwid=bytes(64))
    unread = processor.certificate.replace(b"\x16\x05Milan", b"\x16\x05Mil\x00n")
    report = RawSnp(processor.report())
    assert unread != processor.certificate
    for brought in (older, elsewhere, unread, b"no certificate"):
        asked = [question.address for question in requests_for(report, (brought,))]
        assert asked == [question.address for question in requests_for(report)]


def test_google_vtpm_needs_the_certificate_of_its_authority() -> None:
    machine = GcpSnpMachine.create(NOW, vtpm=RsaTpm.create())
    leaf = authority(f"http://{BUCKET}.storage.googleapis.com/032bf9d39db4fa06aade/ca.crt")
    binding = SessionBinding(b"n" * 32, b"t" * 32, b"h" * 32)
    evidence = dataclasses.replace(machine.evidence(binding), ak_certificates=(leaf,))

    asked = [question.address for question in requests_for(evidence)]
    assert asked[-1] == f"https://storage.googleapis.com/{BUCKET}/032bf9d39db4fa06aade/ca.crt"
