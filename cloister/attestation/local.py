"""The platform ``local``: a software TPM whose key the workspace's own CA certified.

It proves which image runs and that the session ends in it, to whoever trusts the CA. It keeps nothing secret: the host
reads the machine's memory, and the verdict says so.
"""

from collections.abc import Iterable
from datetime import datetime

from cloister.attestation import vtpm, x509
from cloister.attestation.collateral import Collateral
from cloister.attestation.evidence import CERTIFICATE, PARTS, Evidence
from cloister.attestation.policy import ImageReference, LocalPolicy, Policy
from cloister.attestation.roots import WORKSPACE_CA, Anchor
from cloister.attestation.verdict import Recorder

CONFIDENTIAL = False

_REQUIRED = ("tpm_quote", "ak_certificates", "boot_event_log")


def check(
    checks: Recorder,
    evidence: Evidence,
    policy: Policy,
    section: LocalPolicy,
    at: datetime,
    collateral: Collateral | None,
) -> tuple[ImageReference | None, dict[str, str]]:
    """All checks of this platform. Returns the image that the machine booted, and who vouches for its key.

    Raises MalformedEvidence.
    """
    anchor = Anchor(WORKSPACE_CA, section.authority_spki_sha256)
    identity = {"root": anchor.identity_root, "authority": anchor.spki_sha256.hex()}
    present = [name for name in (*_REQUIRED, *PARTS) if getattr(evidence, name)]
    parts = vtpm.VtpmEvidence.parse(evidence)
    checks.record("parts", present == list(_REQUIRED), ", ".join(_REQUIRED), ", ".join(present) or "none of them")
    if parts is None:
        return None, identity
    issuers = [x509.Certificate.parse(der, "collateral") for der in _issuers(evidence, section, collateral)]
    vtpm.check_attestation_key(checks, parts, issuers, anchor.spki_sha256, at)
    vtpm.check_quote(checks, parts, evidence.report_data())
    vtpm.check_event_log(checks, parts)
    image = vtpm.check_registers(checks, parts.pcrs, policy, evidence.runtime_log)
    identity |= {
        "ak": parts.certificates[0].fingerprint().hex(),
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    return image, identity


def _issuers(evidence: Evidence, section: LocalPolicy, collateral: Collateral | None) -> Iterable[bytes]:
    if section.certificate is not None:
        yield section.certificate
    yield from (item.content for item in evidence.collateral if item.kind == CERTIFICATE)
    if collateral is not None:
        yield from collateral.items(CERTIFICATE)
