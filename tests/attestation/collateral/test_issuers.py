"""AMD's certificates that come with the package lead to the pins, and change nothing else."""

import datetime
import hashlib
import importlib.resources
import re
from pathlib import Path

import pytest

from cloister.attestation.collateral.issuers import amd_issuers
from cloister.attestation.collateral_source import CERTIFICATE, COLLATERAL_KINDS, CRL, InMemory
from cloister.attestation.roots import AMD, VENDORS
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.x509.certificate import Certificate, find_path
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
    from cloister.attestation.x509 import pem

    return list(pem.read(path.read_bytes(), path.name, limit=2**16, most=4))
