"""From evidence to verdict: the entry point of the verifier.

What all platforms have in common is checked here: what the evidence was made for, the boot configuration, the runtime
log and the manifest. The platform's own appraisal checks that it comes from a machine, and from which.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cloister.attestation.binding import ReceiptBinding, SessionBinding
from cloister.attestation.checks import CHECKS, CHECKS_OF, COMMON, VOUCHED_BY
from cloister.attestation.collateral.cache import VerificationCache
from cloister.attestation.collateral.unsigned import skip_unsigned
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.diagnosis.explain import explained
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.platforms import azure, gcp, local, sev_snp, tdx
from cloister.attestation.platforms.appraisal import EvidenceAppraisal, PlatformResult, in_utc
from cloister.attestation.platforms.statements import check_statements
from cloister.attestation.policy.document import not_for_sessions
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import SNP_PLATFORMS, TDX_PLATFORMS, Policy
from cloister.attestation.result.verdict import Claims, Recorder, Verdict
from cloister.attestation.tpm import runtimelog
from cloister.attestation.x509.roots import NO_ROOT, VENDORS, Anchor
from cloister.protocol import schema, signingkey
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError

_APPRAISE: Mapping[Platform, Callable[[EvidenceAppraisal], PlatformResult]] = {
    Platform.LOCAL: local.appraise,
    Platform.SEV_SNP: sev_snp.appraise,
    Platform.TDX: tdx.appraise,
    Platform.AZURE_SNP: azure.appraise_snp,
    Platform.AZURE_TDX: azure.appraise_tdx,
    Platform.GCP_SNP: gcp.appraise_snp,
    Platform.GCP_TDX: gcp.appraise_tdx,
}
"""Each platform's appraisal, which uses its own sections of the policy and no others."""

schema.load("boot-configuration")  # now: an appraisal reads no file

_WITH_HARDWARE = (*SNP_PLATFORMS, *TDX_PLATFORMS)


@dataclass(frozen=True)
class SessionPurpose:
    """The evidence is for the session that the caller is opening.

    ``nonce`` is the caller's own, 32 bytes; the digests are SHA-256 of the TLS and HPKE keys that it sees in use.
    """

    nonce: bytes
    tls_key_digest: bytes
    hpke_key_digest: bytes


@dataclass(frozen=True)
class ReceiptPurpose:
    """The evidence is for the receipt that the caller has: SHA-256 of its payload, and of the last event before it."""

    payload_digest: bytes
    log_head: bytes


@dataclass(frozen=True)
class RecordingPurpose:
    """The evidence is a recording: it was made for someone else.

    ``report_data`` are the 64 bytes that it must have been made over; None skips that check. A verdict for this purpose
    opens no session and proves no receipt.
    """

    report_data: bytes | None = None


Purpose = SessionPurpose | ReceiptPurpose | RecordingPurpose
"""What evidence is appraised for."""


def verify(
    evidence: Evidence,
    policy: Policy,
    *,
    purpose: Purpose,
    at: datetime,
    manifest_digest: bytes | None = None,
    collateral: Collateral | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
    cache: VerificationCache | None = None,
) -> Verdict:
    """Appraises ``evidence`` under ``policy`` as of ``at``, a time with a time zone, and returns the verdict.

    ``purpose`` is the session or receipt that the evidence must have been made for. ``manifest_digest`` is the SHA-256
    of the caller's own copy of the computation manifest; None skips that check. ``collateral`` is used besides what the
    evidence carries. ``roots`` are the vendors' anchors: pass others to try out simulated evidence; the verdict then
    says so. ``cache`` keeps parsed collateral for other calls: the verdict is the same without it.

    Raises MalformedEvidence for evidence that cannot be parsed, CollateralError for a revocation list, TCB info or QE
    identity of the caller's that cannot be parsed, PolicyError if ``at`` has no time zone or for a policy for raw
    evidence, and TypeError for another type of purpose. Everything else is in the verdict.
    """
    if not isinstance(policy, Policy):  # a type checker would say so; a caller without one must not get further
        raise not_for_sessions()
    at = in_utc(at)
    configuration = _configuration(evidence)
    _require_event_log_key(evidence)
    checks = Recorder(CHECKS_OF.get(evidence.platform, COMMON), CHECKS)
    _check_purpose(checks, evidence, purpose)
    if manifest_digest is None:
        checks.not_applicable("manifest", "this verdict was asked for without a manifest of yours")
    else:
        found = evidence.binding.manifest_digest
        checks.record("manifest", found == manifest_digest, manifest_digest.hex(), found.hex() if found else "absent")
    _check_configuration(checks, configuration, policy)
    _check_runtime_log(checks, evidence)

    usable = UsableCollateral(evidence.collateral, collateral, cache)
    result, root = PlatformResult(NO_ROOT), NO_ROOT
    accepted = ", ".join(policy.platforms)
    appraise = _APPRAISE.get(evidence.platform)
    if evidence.platform in policy.platforms and appraise is not None:
        checks.record("platform", True, accepted, evidence.platform)
        appraisal = EvidenceAppraisal(
            checks=checks,
            instances=policy.instances,
            evidence=evidence,
            policy=policy,
            at=at,
            collateral=usable,
            roots=roots,
        )
        result = appraise(appraisal)
        root = appraisal.shown_root(result.identity_root, VOUCHED_BY[evidence.platform])
    else:
        known = f"{evidence.platform}, which this version does not support"
        checks.record(
            "platform", False, accepted, known if evidence.platform in policy.platforms else evidence.platform
        )

    image = result.image
    check_statements(checks, image, policy, usable, at, live=isinstance(purpose, SessionPurpose))
    skip_unsigned(usable)
    claims = Claims(
        boot_configuration=configuration,
        boot_configuration_digest=evidence.boot_configuration_digest(),
        event_log_key=evidence.event_log_key,
        manifest_digest=evidence.binding.manifest_digest,
        pcrs=dict(enumerate(result.pcrs)),
        image=(image.flavor, image.manifest_digest) if image else None,
        identity=result.identity,
    )
    verdict = Verdict(
        evidence.platform,
        root,
        _is_confidential(checks, evidence.platform, image),
        at,
        policy.digest(),
        checks.finish(),
        claims,
        recording=isinstance(purpose, RecordingPurpose),
        skipped=usable.skipped,
        used=usable.used(checks.used),
    )
    return explained(verdict, evidence)


def _is_confidential(checks: Recorder, platform: Platform, image: ImageReference | None) -> bool:
    """Whether it is shown that hardware protects the machine's memory from its host, and the image from anyone else.

    Any check may be a precondition of that, so none may have failed.
    """
    return not checks.failed() and platform in _WITH_HARDWARE and image is not None and not image.debug


def _configuration(evidence: Evidence) -> BootConfiguration:
    try:
        return BootConfiguration.parse(evidence.boot_configuration)
    except FormatError as error:
        raise MalformedEvidence("Evidence.boot_configuration", 0, error.message) from error


def _require_event_log_key(evidence: Evidence) -> None:
    try:
        signingkey.load_event_log_key(evidence.event_log_key)
    except FormatError as error:
        raise MalformedEvidence("Evidence.event_log_key", 0, error.message) from error


def _check_purpose(checks: Recorder, evidence: Evidence, purpose: Purpose) -> None:
    binding = evidence.binding
    found = "a session" if isinstance(binding, SessionBinding) else "a receipt"
    match purpose:
        case SessionPurpose():
            checks.record("purpose", found == "a session", "a session", found)
        case ReceiptPurpose():
            checks.record("purpose", found == "a receipt", "a receipt", found)
        case RecordingPurpose(bytes() as report_data):
            checks.equal("purpose", report_data, evidence.report_data())
        case RecordingPurpose(None):
            checks.not_applicable("purpose", "the evidence is a recording, for no session or receipt of yours", found)
        case _:  # must not count as a purpose without checks
            raise TypeError(f"Evidence is appraised for a session or a receipt, not for {type(purpose).__name__}.")
    if isinstance(purpose, SessionPurpose) and isinstance(binding, SessionBinding):
        checks.equal("session-nonce", purpose.nonce, binding.nonce)
        checks.equal("session-tls-key", purpose.tls_key_digest, binding.tls_key_digest)
        checks.equal("session-hpke-key", purpose.hpke_key_digest, binding.hpke_key_digest)
    else:
        for name in ("session-nonce", "session-tls-key", "session-hpke-key"):
            checks.not_applicable(name, "the evidence is not for a session of yours")
    if isinstance(purpose, ReceiptPurpose) and isinstance(binding, ReceiptBinding):
        checks.equal("receipt-payload", purpose.payload_digest, binding.payload_digest)
        checks.equal("receipt-log-head", purpose.log_head, binding.log_head)
    else:
        for name in ("receipt-payload", "receipt-log-head"):
            checks.not_applicable(name, "the evidence is not for a receipt of yours")


def _check_configuration(checks: Recorder, configuration: BootConfiguration, policy: Policy) -> None:
    expected = policy.boot_configuration
    workspace = configuration.workspace
    checks.record("workspace", workspace == expected.workspace, expected.workspace, workspace)
    checks.record("cvm", configuration.cvm in expected.cvms, " or ".join(expected.cvms), configuration.cvm)
    owners = configuration.owners
    checks.record("owners", owners == expected.owners, ", ".join(expected.owners), ", ".join(owners))


def _check_runtime_log(checks: Recorder, evidence: Evidence) -> None:
    """The entries are the parts that the evidence carries, in order. The platform's appraisal checks PCR 15."""
    log = evidence.runtime_log
    kinds = tuple(entry.kind for entry in log)
    required = runtimelog.ORDER[:2]
    ordered = kinds in (required, runtimelog.ORDER)
    wanted = f"{', '.join(required)} and then at most {runtimelog.MeasurementKind.MANIFEST}"
    checks.record("runtime-log", ordered, wanted, ", ".join(kinds) or "empty")
    if not ordered:
        for name in ("runtime-boot-configuration", "runtime-agent", "runtime-manifest"):
            checks.not_applicable(name, "the order of the runtime log is wrong")
        return
    checks.equal("runtime-boot-configuration", evidence.boot_configuration_digest(), log[0].digest)
    checks.equal("runtime-agent", hashlib.sha256(evidence.event_log_key).digest(), log[1].digest)
    bound = evidence.binding.manifest_digest
    measured = log[2].digest if len(log) > len(required) else None
    checks.record("runtime-manifest", measured == bound, _hex(bound), _hex(measured))


def _hex(digest: bytes | None) -> str:
    return digest.hex() if digest else "none"
