"""The platform ``local``: a software TPM whose key the workspace's own CA certified.

It proves which image runs and that the session ends in it, to whoever trusts the CA. It keeps nothing secret: the host
reads the machine's memory, and the verdict says so.
"""

from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import CERTIFICATE
from cloister.attestation.platforms import vtpm
from cloister.attestation.platforms.appraisal import Case, Judgement
from cloister.attestation.platforms.parts import check_parts
from cloister.attestation.roots import WORKSPACE_CA, Anchor
from cloister.attestation.x509 import x509

_REQUIRED = ("tpm_quote", "ak_certificates", "boot_event_log")


def judge(case: Case) -> Judgement:
    """All checks of this platform, under the policy's section ``local``. Raises MalformedEvidence."""
    checks, evidence, section = case.checks, case.evidence, case.policy.local
    if section is None:  # Policy demands the section where it accepts the platform
        raise PolicyError("The policy accepts the platform local and has no section local.")
    anchor = Anchor(WORKSPACE_CA, section.authority_spki_sha256)
    identity = {"root": anchor.identity_root, "authority": anchor.spki_sha256.hex()}
    parts = vtpm.VtpmEvidence.parse(evidence)
    check_parts(checks, evidence, _REQUIRED)
    pcrs = evidence.tpm_quote.pcrs if evidence.tpm_quote else ()
    if parts is None:
        return Judgement(WORKSPACE_CA, identity=identity, pcrs=pcrs)
    own = () if section.certificate is None else (section.certificate,)
    leaf, *known = parts.certificates
    issuers = [
        *(x509.Certificate.parse(der, "local.authority_certificate") for der in own),
        *x509.issuers_among(leaf, case.items(CERTIFICATE), known),
    ]
    vtpm.check_attestation_key(checks, parts, issuers, anchor.spki_sha256, case.at)
    vtpm.check_quote(checks, parts, evidence.report_data())
    vtpm.check_event_log(checks, parts)
    image = vtpm.check_registers(checks, parts.pcrs, case.policy, evidence.runtime_log)
    identity |= {
        "ak": parts.certificates[0].fingerprint().hex(),
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    return Judgement(WORKSPACE_CA, image, identity, pcrs)
