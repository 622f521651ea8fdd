"""What a first policy never takes over from evidence: its strict values stay, and the verdict names what they reject.

Everything else must pass: a check that is not listed here shows whether the evidence is genuine at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Check
from cloister.errors import ProofError

_NEVER = "which no policy can allow"
_SMT = "snp.allow_smt, snp.allow_cxl and snp.allow_tio, false by default"
_TCB = "snp.minimum_tcb: the newest version of each component that the report shows"

STRICT: Mapping[str, str] = MappingProxyType(
    {
        "snp-crl": "snp.require_crl, true by default",
        "snp-vmpl": "snp.vmpl, 0 by default",
        "snp-debug": f"strictness: the right to debug, {_NEVER}",
        "snp-migration": f"strictness: the right to migrate, {_NEVER}",
        "snp-guest-policy": _SMT,
        "snp-platform-info": _SMT,
        "snp-tcb-reported": _TCB,
        "snp-tcb-committed": _TCB,
        "snp-tcb-launch": _TCB,
        "snp-tcb-current": _TCB,
        "tdx-tcb-info": "strictness: TCB info of Intel must come with the evidence or as collateral",
        "tdx-tcb-info-validity": "strictness: TCB info of Intel must be current",
        "tdx-qe-identity": "strictness: the QE identity of Intel must come with the evidence or as collateral",
        "tdx-qe-identity-validity": "strictness: the QE identity of Intel must be current",
        "tdx-tcb-status": "tdx.tcb_statuses, UpToDate alone by default, and tdx.up_to_date_as_of, no day by default",
        "tdx-advisories": "tdx.advisories, none by default",
        "tdx-debug": f"strictness: a machine under debug, {_NEVER}",
        "tdx-migratable": f"strictness: migration, {_NEVER}",
        "tdx-attributes": "tdx.attributes_required and tdx.attributes_allowed",
        "tdx-xfam": "tdx.xfam_allowed",
        "tdx-mr-signer-seam": "tdx.mr_signer_seam, zeros by default",
        "tdx-mr-owner": "tdx.mr_owner, zeros by default",
        "tdx-mr-owner-config": "tdx.mr_owner_config, zeros by default",
        "tdx-service-td": "tdx.service_tds, none by default",
        "azure-rtmrs": "strictness: nothing may be measured in the runtime registers of a machine with a paravisor",
        "pcr-2": "platform_pcrs, which pins no drivers by default",
    }
)
"""Checks that a strict value decides, with the member of the policy. Evidence does not relax them."""

_CERTIFIED = frozenset({"snp-chain", "snp-validity", "tdx-pck-path", "gcp-endorsement-path", "ak-path"})
_CHANGED = "Get the evidence again from the machine, with its own certificates. If it is the same, do not use it."

_REVOCATIONS = ("tdx-pck-revocation", "tdx-ca-revocation")
_REQUIRE_CRL = "tdx.require_crl, true by default"


def require_genuine(failures: Sequence[Check], said: str, missing: str) -> None:
    """Raises ProofError unless strict values alone decide ``failures``, which were found without demanding lists.

    ``said`` begins its message: what the evidence then is not. ``missing`` is the hint if a certificate may be missing.
    """
    wrong = [check.name for check in failures if check.name not in STRICT]
    if wrong:
        hint = missing if set(wrong) & _CERTIFIED else _CHANGED
        listed = "\n".join(explain(check) for check in failures)
        raise ProofError(f"{said}, so no policy is made from it.\n{listed}", hint=hint)


_AnyPolicy = TypeVar("_AnyPolicy", Policy, EvidencePolicy)


def without_lists(policy: _AnyPolicy) -> _AnyPolicy:
    """``policy`` without a demand for revocation lists: one that is missing does not show that a signature is wrong.

    A list that names the signer's key still rejects.
    """
    snp = replace(policy.snp, require_crl=False) if policy.snp else None
    return replace(policy, snp=snp, tdx=replace(policy.tdx, require_crl=False) if policy.tdx else None)


def explain(check: Check) -> str:
    """The sentence about a check that the new policy's strict values reject, with the member that decides it."""
    if check.failure is not None and check.failure.members:  # its own sentence names them
        return check.sentence()
    member = STRICT.get(check.name) or (_REQUIRE_CRL if check.name in _REVOCATIONS else "")
    if not member or member.startswith("strictness: "):
        return check.sentence()
    return f"{check.sentence()} This is decided by the policy's {member}."
