"""What a first policy never takes over from evidence: its strict values stay, and the verdict names what they reject.

Everything else must pass: a check that is not listed here shows whether the evidence is genuine at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.checkinfo import FailureKind
from cloister.attestation.result.verdict import Check
from cloister.attestation.tdx.checks import UNSIGNED_QE_IDENTITY, UNSIGNED_TCB_INFO
from cloister.errors import ProofError

STRICT = frozenset(
    {
        "snp-crl",
        "snp-vmpl",
        "snp-debug",
        "snp-migration",
        "snp-guest-policy",
        "snp-platform-info",
        "snp-tcb-reported",
        "snp-tcb-committed",
        "snp-tcb-launch",
        "snp-tcb-current",
        "tdx-tcb-info",
        "tdx-tcb-info-validity",
        "tdx-qe-identity",
        "tdx-qe-identity-validity",
        "tdx-tcb-status",
        "tdx-advisories",
        "tdx-debug",
        "tdx-migratable",
        "tdx-attributes",
        "tdx-xfam",
        "tdx-mr-signer-seam",
        "tdx-mr-owner",
        "tdx-mr-owner-config",
        "tdx-service-td",
        "azure-rtmrs",
        "pcr-2",
    }
)
"""Checks that a strict value decides, which evidence does not relax."""

_TCB = "snp.minimum_tcb: the newest version of each component that the report shows"
_MEMBERS: Mapping[str, str] = MappingProxyType(
    {
        "snp-vmpl": "snp.vmpl, 0 by default",
        "snp-tcb-reported": _TCB,
        "snp-tcb-committed": _TCB,
        "snp-tcb-launch": _TCB,
        "snp-tcb-current": _TCB,
        "tdx-tcb-status": "tdx.tcb_statuses, UpToDate alone by default, and tdx.up_to_date_as_of, no day by default",
        "tdx-advisories": "tdx.advisories, none by default",
        "tdx-mr-signer-seam": "tdx.mr_signer_seam, zeros by default",
        "tdx-mr-owner": "tdx.mr_owner, zeros by default",
        "tdx-mr-owner-config": "tdx.mr_owner_config, zeros by default",
        "tdx-service-td": "tdx.service_tds, none by default",
        "pcr-2": "platform_pcrs, which pins no drivers by default",
    }
)
"""The strict value, where the failure itself does not name its member (``Failure.members``)."""

_IDENTITY = "tdx-qe-identity"
_UNIDENTIFIED = (
    "Until then nothing shows that Intel's quoting enclave made the quote: another enclave of the platform may have "
    "invented every value above."
)
_NOT_SIGNED = (UNSIGNED_TCB_INFO, UNSIGNED_QE_IDENTITY)
_FORGED = "Intel's service has it: pass --fetch, and leave out the copy that you have."
_CHANGED = "Get the evidence again from the machine, with its own certificates. If it is the same, do not use it."


def require_genuine(failures: Sequence[Check], said: str, missing: str) -> None:
    """Raises ProofError unless strict values alone decide ``failures``, which were found without demanding lists.

    ``said`` begins its message: what the evidence then is not. ``missing`` is the hint if all that is wrong is that
    certificates or other files are missing; the message then has nothing else.
    """
    wrong = [check for check in failures if not _is_strict(check)]
    if wrong:
        absent = all(check.failure is not None and check.failure.kind is FailureKind.COLLATERAL for check in wrong)
        others = [] if absent else [check for check in failures if check not in wrong]
        listed = "\n".join(explain(check) for check in (*wrong, *others))
        forged = any(check.failure in _NOT_SIGNED for check in wrong)
        hint = _CHANGED if not absent else _FORGED if forged else missing
        raise ProofError(f"{said}, so no policy is made from it.\n{listed}", hint=hint)


def _is_strict(check: Check) -> bool:
    """Whether a strict value decides it. That a statement of Intel's is absent is strictness; a forged one is not."""
    return check.name in STRICT and check.failure not in _NOT_SIGNED


_AnyPolicy = TypeVar("_AnyPolicy", Policy, EvidencePolicy)


def without_lists(policy: _AnyPolicy) -> _AnyPolicy:
    """``policy`` without a demand for revocation lists: one that is missing does not show that a signature is wrong.

    A list that names the signer's key still rejects.
    """
    snp = replace(policy.snp, require_crl=False) if policy.snp else None
    return replace(policy, snp=snp, tdx=replace(policy.tdx, require_crl=False) if policy.tdx else None)


def explain(check: Check) -> str:
    """The sentence about a check that the new policy's strict values reject, with the member that decides it."""
    if check.name == _IDENTITY:
        return f"{check.sentence()} {_UNIDENTIFIED}"
    member = _MEMBERS.get(check.name)
    return f"{check.sentence()} This is decided by the policy's {member}." if member else check.sentence()
