"""The verifier: evidence in, attestation result out (RFC 9334).

Parsers, signature chains, event-log replay, policies and verdicts. Nothing here opens a socket, a file or a device, or
reads the clock: what must be fetched comes through a ``Collateral`` object, the time through an argument.

``now`` is an aware time. ``policy`` is an ``EvidencePolicy`` for a report or quote, a ``Policy`` for whole evidence.

A SEV-SNP report (`sev-snp`), with the host's certificate table and AMD's revocation list:

    raw = RawSnp(report, table)
    known = InMemory({"crl": (crl,)})
    verdict = verify_raw(raw, policy, report_data=expected, at=now, collateral=known)

Without a table, pass the certificate of its key and those of its issuers, in DER:
``InMemory({"certificate": (vcek, *amd_issuers().items("certificate")), "crl": (crl,)})``.

A TDX quote (`tdx`), with what Intel's service has for it:

    items = {"tcb-info": (tcb_info,), "qe-identity": (qe_identity,), "crl": crls, "certificate": certificates}
    known = InMemory(items)
    verdict = verify_raw(RawTdx(quote), policy, report_data=expected, at=now, collateral=known)

An HCL report of Azure (`azure-snp`), with a quote of its vTPM and the certificates of the processor's key:

    raw = RawHcl(hcl_report, quote=SignedRegisters(attest, signature, pcrs))
    known = InMemory({"certificate": certificates, "crl": (crl,)})
    verdict = verify_raw(raw, policy, report_data=expected, at=now, collateral=known)

The same on TDX (`azure-tdx`), with the TDX quote:

    raw = RawHcl(hcl_report, tdx_quote, SignedRegisters(attest, signature, pcrs))
    known = InMemory({"tcb-info": (tcb_info,), "qe-identity": (qe_identity,), "crl": crls, "certificate": certificates})
    verdict = verify_raw(raw, policy, report_data=expected, at=now, collateral=known)

Whole evidence of a machine of Cloister's (`gcp-snp`, `gcp-tdx`, `local`, and all of the above), recorded:

    evidence = Evidence.parse(message)
    purpose = RecordingPurpose(report_data=expected)
    verdict = verify(evidence, policy, purpose=purpose, at=now, collateral=known)

``verdict.failures`` are the failed checks, each with expected and found. Many in turn share a ``VerificationCache``.

The names in ``__all__`` are the public API; docs/api/attestation.md describes them. They are imported when they are
first used: the agent in the guest image has only some of these modules. Type checkers read ``__init__.pyi``.
"""

import importlib

_MODULES = {
    "binding": ("ReceiptBinding", "SessionBinding"),
    "result.cause": ("Cause", "Likely"),
    "collateral.cache": ("VerificationCache",),
    "collateral.issuers": ("amd_issuers",),
    "collateral_source": ("Collateral", "CollateralItem", "InMemory", "Origin"),
    "ear": ("ear_claims",),
    "result.outcomes": ("advice",),
    "diagnosis.explain": ("explained",),
    "errors": ("AttestationError", "CollateralError", "MalformedEvidence", "PolicyError"),
    "evidence": ("Evidence", "Platform", "TpmQuote"),
    "first_policy.from_evidence": ("policy_from_evidence",),
    "first_policy.from_manifest": ("AdoptedValue", "policy_from_manifest"),
    "instances": ("GcpInstance", "Instances"),
    "azure.policy": ("AzurePolicy", "AzureSnpPolicy", "AzureTdxPolicy"),
    "gcp.policy": ("GcpPolicy",),
    "launch.firmware": ("Firmware",),
    "launch.igvm": ("IgvmFile",),
    "policy.either": ("AnyPolicy", "parse_policy"),
    "policy.evidence_policy": ("EvidencePolicy", "RawPlatform"),
    "policy.images": ("ImageReference",),
    "policy.policy": ("ConfigurationPolicy", "LocalPolicy", "Policy"),
    "policy.statements": ("BuildersPolicy", "PublisherPolicy"),
    "raw.verifier": ("verify_raw",),
    "raw.kinds": ("Judged", "RawHcl", "RawSnp", "RawTdx"),
    "raw.log": ("RawLog",),
    "raw.tpm": ("RawTpm", "SignedRegisters", "TpmKey"),
    "raw.verdict": ("RawVerdict",),
    "result.verdict": ("Check", "CheckOutcome", "Claims", "Skipped", "Used", "Verdict"),
    "x509.roots": ("VENDORS", "Anchor"),
    "launch.snp": ("KernelHashes", "OvmfFirmware"),
    "snp.pins": ("SnpPins",),
    "snp.policy": ("SnpPolicy",),
    "launch.tdx": ("TdFirmware",),
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
