"""Reports and certificates of real processors get the verdicts that their README states, layer by layer."""

import base64
from datetime import UTC, datetime

import pytest

from cloister.attestation.checks import CHECKS
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.result.verdict import Check, CheckOutcome, Recorder
from cloister.attestation.snp.checks import SNP_NAMES
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import COMPONENTS, ProductLine, TcbVersion
from cloister.attestation.snp.report import SIGNED_SIZE, SIZE, SnpReport
from cloister.attestation.snp.verify import check_report
from cloister.attestation.x509.certificate import Certificate, find_path
from cloister.attestation.x509.roots import AMD, VENDORS
from tests.shared_files import VECTORS

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is absent: evidence of real machines")

AT = datetime(2026, 6, 1, tzinfo=UTC)
BEFORE = datetime(2025, 6, 1, tzinfo=UTC)
ANCHORS = [anchor for anchor in VENDORS if anchor.identity_root == AMD]
AMAZON = "CN=cc-us-east-2.amazonaws.com"
NO_MINIMUM = {
    line: dict.fromkeys(TCB_KINDS, TcbVersion(**{name: 0 for name in COMPONENTS[line] if name})) for line in ProductLine
}
LAX = {"minimum_tcb": NO_MINIMUM, "allow_smt": True, "allow_vlek": True, "vlek_clouds": (AMAZON,)}
FORGED = {"snp-chain", "snp-signature", "snp-chip", "snp-certificate-tcb"}


def report(name: str) -> bytes:
    data = (VECTORS / name).read_bytes()
    return data if len(data) == SIZE else data[32 : 32 + SIZE]  # behind the header of an HCL report


def certificates(*names: str) -> tuple[bytes, ...]:
    found: list[bytes] = []
    for name in names:
        data = (VECTORS / name).read_bytes()
        if name.endswith(".der"):
            found.append(data)
            continue
        for block in data.split(b"-----BEGIN CERTIFICATE-----")[1:]:
            found.append(base64.b64decode(block.split(b"-----END")[0]))
    return tuple(found)


def judged(
    data: bytes, certs: tuple[bytes, ...], at: datetime = AT, *, require_crl: bool = False, **changes: object
) -> tuple[Check, ...]:
    checks = Recorder(SNP_NAMES, CHECKS)
    section = SnpPolicy(**{**LAX, "require_crl": require_crl, **changes})
    check_report(
        checks, SnpReport.parse(data), AmdCollateral.parse(certs), section, report_data=None, at=at, anchors=ANCHORS
    )
    return checks.finish()


def failures(checks: tuple[Check, ...]) -> set[str]:
    return {check.name for check in checks if check.outcome is CheckOutcome.FAILED}


GENUINE = [
    ("snp/coco-report.bin", ("snp/coco-vcek.der", "snp/ask_ark_milan.pem")),
    ("snp/milan_attestation_report.bin", ("snp/milan_vcek.pem", "snp/ask_ark_milan.pem")),
    ("snp/turin_attestation_report.bin", ("snp/turin_vcek.pem", "snp/ask_ark_turin_vcek.pem")),
    ("azure-snp/hcl-report.bin", ("azure-snp/vcek.pem",)),
]


@pytest.mark.parametrize(("name", "certs"), GENUINE, ids=[name for name, _ in GENUINE])
def test_genuine_reports_fail_only_for_the_missing_crl(name: str, certs: tuple[str, ...]) -> None:
    checks = judged(report(name), certificates(*certs))
    assert failures(checks) == set()
    (crl,) = (check for check in checks if check.name == "snp-crl")
    assert crl.outcome is CheckOutcome.NOT_APPLICABLE
    assert crl.reason.startswith("the policy does not require a revocation list")
    assert failures(judged(report(name), certificates(*certs), require_crl=True)) == {"snp-crl"}


@pytest.mark.parametrize(
    ("name", "certs", "at", "expected"),
    [
        ("coco-report.bin", ("coco-vcek-invalid-legacy.der", "ask_ark_milan.pem"), AT, FORGED),
        ("coco-report.bin", ("coco-vcek-invalid-new.der", "ask_ark_milan.pem"), AT, FORGED),
        ("coco-vlek-report.bin", ("coco-vlek.der", "ask_ark_milan_vlek.pem"), BEFORE, {"snp-vmpl"}),
        ("coco-vlek-report.bin", ("coco-vlek.der", "ask_ark_milan_vlek.pem"), AT, {"snp-vmpl", "snp-validity"}),
        ("coco-vlek-report.bin", ("coco-vlek.der", "ask_ark_milan.pem"), BEFORE, {"snp-vmpl", "snp-chain"}),
        ("coco-vlek-report.bin", ("coco-vcek.der", "ask_ark_milan.pem"), BEFORE, {"snp-vmpl", "snp-chain"}),
        ("milan_v2_debug_report.bin", ("milan_v2_debug_vcek.der", "ask_ark_milan.pem"), AT, {"snp-debug"}),
        ("milan_attestation_report.bin", ("milan_vcek.pem", "ask_ark_genoa.pem"), AT, {"snp-chain"}),
        ("turin_attestation_report.bin", ("milan_vcek.pem", "ask_ark_milan.pem"), AT,
         {"snp-product", "snp-signature", "snp-chip", "snp-certificate-tcb"}),
        ("milan_attestation_report.bin", (), AT, {"snp-chain"}),
    ],
)  # fmt: skip
def test_other_reports_are_rejected_for_their_recorded_reason(
    name: str, certs: tuple[str, ...], at: datetime, expected: set[str]
) -> None:
    checks = judged(report(f"snp/{name}"), certificates(*(f"snp/{cert}" for cert in certs)), at)
    assert failures(checks) == expected


def test_vlek_is_rejected_unless_the_policy_allows_it() -> None:
    certs = certificates("snp/coco-vlek.der", "snp/ask_ark_milan_vlek.pem")
    checks = judged(report("snp/coco-vlek-report.bin"), certs, BEFORE, allow_vlek=False, vlek_clouds=())
    assert failures(checks) == {"snp-signing-key", "snp-vmpl"}


def test_smt_is_rejected_unless_the_policy_allows_it() -> None:
    certs = certificates("snp/milan_vcek.pem", "snp/ask_ark_milan.pem")
    checks = judged(report("snp/milan_attestation_report.bin"), certs, allow_smt=False)
    assert failures(checks) == {"snp-guest-policy", "snp-platform-info"}


@pytest.mark.parametrize(("name", "certs"), GENUINE, ids=[name for name, _ in GENUINE])
def test_flipped_byte_of_signed_data_is_rejected(name: str, certs: tuple[str, ...]) -> None:
    data, chain = report(name), certificates(*certs)
    for index in range(0x50, SIGNED_SIZE, 29):  # in front of it and behind are fields with reserved bits
        flipped = data[:index] + bytes((data[index] ^ 0x80,)) + data[index + 1 :]
        try:
            checks = judged(flipped, chain)
        except MalformedEvidence:
            continue
        assert "snp-signature" in failures(checks)


def test_pinned_amd_roots_are_those_of_recorded_chains() -> None:
    """VCEK and VLEK chains of a line have the same root; for Genoa a chain is recorded, but no report."""
    for line in ProductLine:
        (anchor,) = (anchor for anchor in ANCHORS if anchor.name == f"ARK-{line}")
        suffix = "_vcek" if line is ProductLine.TURIN else ""
        for name in (f"snp/ask_ark_{line.lower()}{suffix}.pem", f"snp/ask_ark_{line.lower()}_vlek.pem"):
            signer, root = (Certificate.parse(der) for der in certificates(name))
            assert root.fingerprint() == anchor.spki_sha256
            path, why = find_path(signer, [root], anchor.spki_sha256)
            assert path == (signer, root), why
