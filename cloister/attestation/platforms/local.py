"""The platform ``local``: a software TPM whose key the workspace's own CA certified.

It shows which image runs and that the session ends in it, to a party that trusts the CA. It keeps nothing secret: the
host reads the machine's memory, and the verdict says so.
"""

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import EvidenceAppraisal, PlatformResult, check_parts
from cloister.attestation.platforms.vtpm import (
    VtpmEvidence,
    check_attestation_key,
    check_event_log,
    check_quote,
    check_registers,
)
from cloister.attestation.x509.certificate import Certificate, issuers_among
from cloister.attestation.x509.roots import WORKSPACE_CA

_REQUIRED = ("tpm_quote", "ak_certificates", "boot_event_log")


def appraise(appraisal: EvidenceAppraisal) -> PlatformResult:
    """Makes all checks of this platform, under the policy's section ``local``. Raises MalformedEvidence."""
    checks, evidence, section = appraisal.checks, appraisal.evidence, appraisal.policy.local
    if section is None:  # Policy demands the section where it accepts the platform
        raise PolicyError("The policy accepts the platform local and has no section local.")
    pin = section.authority_spki_sha256
    identity = {"root": WORKSPACE_CA, "authority": pin.hex()}
    parts = VtpmEvidence.parse(evidence)
    check_parts(checks, evidence, _REQUIRED)
    pcrs = evidence.tpm_quote.pcrs if evidence.tpm_quote else ()
    if parts is None:
        return PlatformResult(WORKSPACE_CA, identity=identity, pcrs=pcrs)
    own = () if section.certificate is None else (section.certificate,)
    leaf, *known = parts.certificates
    issuers = [
        *(Certificate.parse(der, "local.authority_certificate") for der in own),
        *issuers_among(leaf, appraisal.collateral.certificates(), known),
    ]
    check_attestation_key(checks, parts, issuers, pin, appraisal.at)
    check_quote(checks, parts, evidence.report_data())
    check_event_log(checks, parts)
    image = check_registers(checks, parts.pcrs, appraisal.policy, evidence.runtime_log)
    identity |= {
        "ak": parts.certificates[0].fingerprint().hex(),
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    return PlatformResult(WORKSPACE_CA, image, identity, pcrs)
