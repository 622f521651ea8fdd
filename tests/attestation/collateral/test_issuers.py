"""AMD's certificates that come with the package lead to the pins, and change nothing else."""

import datetime
import hashlib
import importlib.resources
import re
from pathlib import Path

import pytest

from cloister.attestation.collateral.issuers import amd_issuers
from cloister.attestation.collateral_source import CERTIFICATE, COLLATERAL_KINDS, CRL, InMemory
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.verifier import RawSnp, verify_raw
from cloister.attestation.result.verdict import CheckOutcome
from cloister.attestation.snp.policy import TCB_KINDS, SnpPolicy
from cloister.attestation.snp.products import COMPONENTS, ProductLine, TcbVersion
from cloister.attestation.testkit import Processor
from cloister.attestation.testkit.amd import Amd
from cloister.attestation.x509 import pem
from cloister.attestation.x509.certificate import Certificate, find_path
from cloister.attestation.x509.roots import AMD, VENDORS
from tests.shared_files import VECTORS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "attestation.md").read_text()
AT = datetime.datetime(2026, 11, 30, tzinfo=datetime.UTC)
PINS = {anchor.name: anchor.spki_sha256 for anchor in VENDORS if anchor.identity_root == AMD}


def named() -> dict[str, Certificate]:
    found = [Certificate.parse(der) for der in amd_issuers().items(CERTIFICATE)]
    return {one.parsed.subject.rfc4514_string().split("CN=")[1].split(",")[0]: one for one in found}


@pytest.mark.parametrize("line", ProductLine)
def test_every_certificate_leads_to_the_pin_of_its_line(line: ProductLine) -> None:
    certificates = named()
    root = certificates[f"ARK-{line}"]
    assert root.fingerprint() == PINS[f"ARK-{line}"]
    for name in (f"SEV-{line}", f"SEV-VLEK-{line}"):
        path, why = find_path(certificates[name], tuple(certificates.values()), PINS[f"ARK-{line}"], longest=2)
        assert path == (certificates[name], root), why
        assert all(one.valid_at(AT) for one in path)


def test_nothing_else_comes_with_the_package() -> None:
    """No revocation list above all: that one must be current, which a package cannot be."""
    assert len(named()) == 3 * len(ProductLine) == len(tuple(amd_issuers().items(CERTIFICATE)))
    assert [kind for kind in COLLATERAL_KINDS if tuple(amd_issuers().items(kind))] == [CERTIFICATE]
    assert CRL in COLLATERAL_KINDS
    folder = importlib.resources.files("cloister.attestation.collateral").joinpath("amd")
    assert sorted(one.name for one in folder.iterdir()) == sorted(f"{line.lower()}.crt" for line in ProductLine)


def test_page_has_the_digest_of_each_certificate() -> None:
    rows = dict(re.findall(r"^\| ((?:ARK|SEV)-[\w-]+) \| `([0-9a-f]{64})` \|", PAGE, re.MULTILINE))
    assert rows == {name: hashlib.sha256(one.der).hexdigest() for name, one in named().items()}


@pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is absent: the certificates of another source")
def test_certificates_are_those_of_another_source() -> None:
    known = set(amd_issuers().items(CERTIFICATE))
    files = sorted((VECTORS / "snp").glob("ask_ark_*.pem"))
    recorded = InMemory({CERTIFICATE: tuple(der for path in files for der in _ders(path))})
    assert set(recorded.items(CERTIFICATE)) == known


def _ders(path: Path) -> list[bytes]:
    return list(pem.read(path.read_bytes(), path.name, limit=2**16, most=4))


def forged(line: ProductLine) -> InMemory:
    """Certificates with the names of AMD's, under other keys."""
    amd = Amd.create(AT, line)
    return InMemory({CERTIFICATE: (amd.root, *(signer for _, signer in amd.signers.values()))})


@pytest.mark.skipif(not VECTORS.is_dir(), reason="../shared/vectors is absent: a report of a real machine")
def test_wrong_certificates_in_the_package_would_change_nothing() -> None:
    """Neither may they help a forger, nor keep a genuine report from being accepted."""
    leaf = pem.read((VECTORS / "snp" / "milan_vcek.pem").read_bytes(), "VCEK", limit=2**16, most=1)
    report = RawSnp((VECTORS / "snp" / "milan_attestation_report.bin").read_bytes())
    wrong, right = forged(ProductLine.MILAN), amd_issuers()

    genuine = judged(report, InMemory({CERTIFICATE: (*leaf, *right.items(CERTIFICATE))}))
    both = judged(report, InMemory({CERTIFICATE: (*wrong.items(CERTIFICATE), *leaf, *right.items(CERTIFICATE))}))
    assert genuine == both
    assert genuine["snp-chain"] is CheckOutcome.PASSED
    assert (
        judged(report, InMemory({CERTIFICATE: (*leaf, *wrong.items(CERTIFICATE))}))["snp-chain"] is CheckOutcome.FAILED
    )


@pytest.mark.parametrize("line", ProductLine)
def test_forged_report_is_not_helped(line: ProductLine) -> None:
    processor = Processor.create(AT, line)
    wrong = (processor.amd.root, *(signer for _, signer in processor.amd.signers.values()))
    known = InMemory({CERTIFICATE: (*amd_issuers().items(CERTIFICATE), *wrong, processor.certificate)})
    assert judged(RawSnp(processor.report()), known)["snp-chain"] is CheckOutcome.FAILED


def judged(report: RawSnp, collateral: InMemory) -> dict[str, CheckOutcome]:
    least = {
        line: dict.fromkeys(TCB_KINDS, TcbVersion(**dict.fromkeys(filter(None, COMPONENTS[line]), 0)))
        for line in ProductLine
    }
    policy = EvidencePolicy(platforms=(RawPlatform.SEV_SNP,), snp=SnpPolicy(least, allow_smt=True))
    verdict = verify_raw(report, policy, report_data=None, at=AT, collateral=collateral)
    return {check.name: check.outcome for check in verdict.checks}
