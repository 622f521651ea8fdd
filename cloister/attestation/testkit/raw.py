"""The bare reports and quotes of the kit's machines, and a policy for them."""

import dataclasses
from typing import Any

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.instances import Instances
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.policy.policy import Policy
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.tpm import SignedRegisters

_RAW = {Platform.GCP_SNP: RawPlatform.SEV_SNP, Platform.GCP_TDX: RawPlatform.TDX}
"""What the evidence of a machine at Google is by itself."""


def evidence_policy(policy: Policy, **changes: Any) -> EvidencePolicy:
    """A policy for raw evidence with the vendors' sections of ``policy``; ``changes`` replace members of it."""
    made = EvidencePolicy(
        platforms=tuple(_RAW.get(platform) or RawPlatform(platform.value) for platform in policy.platforms),
        snp=policy.snp,
        tdx=policy.tdx,
        azure=policy.azure,
        instances=dataclasses.replace(policy.instances or Instances(), gcp=()),
    )
    return dataclasses.replace(made, **changes)


def bare(evidence: Evidence) -> Raw:
    """The report or quote in a machine's evidence, with the quote of the vTPM at Azure. Raises MalformedEvidence."""
    if evidence.hcl_report is not None and evidence.tpm_quote is not None:
        quote = evidence.tpm_quote
        signed = SignedRegisters(quote.attest, quote.signature, dict(enumerate(quote.pcrs)))
        return RawHcl(evidence.hcl_report, evidence.tdx_quote, signed)
    if evidence.snp_report is not None:
        return RawSnp(evidence.snp_report, evidence.snp_certificates)
    if evidence.tdx_quote is not None:
        return RawTdx(evidence.tdx_quote)
    raise MalformedEvidence("Evidence", 0, "has no report and no quote")
