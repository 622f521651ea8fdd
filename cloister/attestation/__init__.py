"""The verifier: evidence in, attestation result out (RFC 9334).

Parsers, signature chains, event-log replay, policies and verdicts. Nothing here opens a socket, a file or a device, or
reads the clock: what must be fetched comes through a ``Collateral`` object, the time through an argument.

The names in ``__all__`` are the public API; docs/api/attestation.md describes them. They are imported when they are
first used: the agent in the guest image has only some of these modules. Type checkers read ``__init__.pyi``.
"""

import importlib

_MODULES = {
    "binding": ("ReceiptBinding", "SessionBinding"),
    "collateral_source": ("Collateral", "CollateralItem", "InMemory"),
    "errors": ("AttestationError", "CollateralError", "MalformedEvidence", "PolicyError"),
    "evidence": ("Evidence", "Platform", "TpmQuote"),
    "first_policy.from_evidence": ("policy_from_evidence",),
    "first_policy.from_manifest": ("AdoptedValue", "policy_from_manifest"),
    "instances": ("GcpInstance", "Instances"),
    "azure.policy": ("AzurePolicy", "AzureSnpPolicy", "AzureTdxPolicy"),
    "gcp.policy": ("GcpPolicy",),
    "policy.either": ("AnyPolicy", "parse_policy"),
    "policy.evidence_policy": ("EvidencePolicy", "RawPlatform"),
    "policy.images": ("ImageReference",),
    "policy.policy": ("ConfigurationPolicy", "LocalPolicy", "Policy"),
    "raw_evidence": ("RawHcl", "RawSnp", "RawTdx", "RawVerdict", "verify_raw"),
    "result": ("Check", "CheckOutcome", "Claims", "Skipped", "Verdict"),
    "roots": ("VENDORS", "Anchor"),
    "snp.pins": ("SnpPins",),
    "snp.policy": ("SnpPolicy",),
    "tdx.pins": ("TdxPins",),
    "tdx.policy": ("TdxPolicy", "TdxReference"),
    "verifier": ("ReceiptPurpose", "RecordingPurpose", "SessionPurpose", "verify"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
