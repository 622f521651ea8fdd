"""Verify the paravisor's report: a hardware report binds its claims, and the claims name the vTPM's key."""

import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cloister.attestation.azure.hcl import TYPE_SNP, TYPE_TDX, HclReport
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.result.verdict import Recorder

_EXPONENT = 65537
_TYPES = {TYPE_SNP: "SEV-SNP", TYPE_TDX: "TDX"}


def check_type(checks: Recorder, report: HclReport, wanted: int) -> bool:
    """The report's own type decides what its hardware report is, not the platform that the evidence names."""
    found = report.report_type
    return checks.record("azure-report-type", found == wanted, _TYPES[wanted], _TYPES.get(found, str(found)))


def check_key(checks: Recorder, report: HclReport, fingerprint: bytes) -> None:
    """The vTPM's key, by the SHA-256 of its SubjectPublicKeyInfo, is the one in the runtime claims."""
    spki = claimed_key(report).public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    checks.equal("azure-ak", hashlib.sha256(spki).digest(), fingerprint)


def claimed_key(report: HclReport) -> rsa.RSAPublicKey:
    """The vTPM's attestation key in the runtime claims. Raises MalformedEvidence."""
    try:
        return rsa.RSAPublicNumbers(_EXPONENT, int.from_bytes(report.claims.ak_modulus)).public_key()
    except ValueError as error:
        raise MalformedEvidence("HCL report.runtime.claims.keys.HCLAkPub", 0, "is not an RSA key") from error
