"""From evidence to verdict: the one entry of the verifier.

What every platform has in common is judged here: what the evidence was made for, the boot configuration, the runtime
log and the manifest. What proves that it comes from a machine is the platform's part.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from cloister.attestation.checks import CHECKS_OF, COMMON
from cloister.attestation.collateral.unsigned import name_unsigned
from cloister.attestation.collateral.usable import Sources
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, Platform, ReceiptBinding, SessionBinding
from cloister.attestation.platforms import azure, gcp, local, tdx
from cloister.attestation.platforms import sev_snp as snp
from cloister.attestation.platforms.appraisal import Case, Judgement, moment
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import SNP_PLATFORMS, TDX_PLATFORMS, Policy
from cloister.attestation.result import Claims, Recorder, Verdict
from cloister.attestation.roots import VENDORS, Anchor
from cloister.attestation.tpm import runtimelog
from cloister.protocol import transcript
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError

_JUDGES: Mapping[Platform, Callable[[Case], Judgement]] = {
    Platform.LOCAL: local.judge,
    Platform.SEV_SNP: snp.judge,
    Platform.TDX: tdx.judge,
    Platform.AZURE_SNP: azure.judge_snp,
    Platform.AZURE_TDX: azure.judge_tdx,
    Platform.GCP_SNP: gcp.judge_snp,
    Platform.GCP_TDX: gcp.judge_tdx,
}
"""The part of the verifier for each platform, which judges by its own section of the policy and by no other."""

_WITH_HARDWARE = (*SNP_PLATFORMS, *TDX_PLATFORMS)


@dataclass(frozen=True)
class SessionPurpose:
    """The session that the caller is opening: its own nonce, and SHA-256 of the keys that it sees in use."""

    nonce: bytes
    tls_key_digest: bytes
    hpke_key_digest: bytes


@dataclass(frozen=True)
class ReceiptPurpose:
    """The receipt that the caller holds: SHA-256 of its payload, and of the last event before it."""

    payload_digest: bytes
    log_head: bytes


@dataclass(frozen=True)
class RecordingPurpose:
    """None of the caller's own: the evidence is looked at as somebody recorded it.

    ``report_data`` are the 64 bytes that it must have been made over, None when the caller knows none. No verdict for
    this purpose opens a session or proves a receipt.
    """

    report_data: bytes | None = None


Purpose = SessionPurpose | ReceiptPurpose | RecordingPurpose
"""What evidence is judged for."""


def verify(
    evidence: Evidence,
    policy: Policy,
    *,
    purpose: Purpose,
    at: datetime,
    manifest_digest: bytes | None = None,
    collateral: Collateral | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
) -> Verdict:
    """The verdict on ``evidence`` under ``policy`` as of ``at`` (aware).

    ``manifest_digest`` is that of the caller's own copy of the computation manifest, None when it claims none.
    ``collateral`` is looked into besides what the evidence carries. ``roots`` are the vendors' anchors; a caller that
    hands in others tries out simulated evidence, and the verdict says so. Raises MalformedEvidence for evidence that
    cannot be read, CollateralError for collateral of the caller's that might refuse and cannot be read, PolicyError
    when ``at`` has no zone, TypeError for another purpose; everything else is in the verdict.
    """
    at = moment(at)
    configuration = _configuration(evidence)
    _require_event_log_key(evidence)
    checks = Recorder(CHECKS_OF.get(evidence.platform, COMMON))
    _check_purpose(checks, evidence, purpose)
    if manifest_digest is None:
        checks.not_applicable("manifest", "you named no manifest of your own")
    else:
        found = evidence.binding.manifest_digest
        checks.record("manifest", found == manifest_digest, manifest_digest.hex(), found.hex() if found else "absent")
    _check_configuration(checks, configuration, policy)
    _check_runtime_log(checks, evidence)

    sources = Sources(evidence.collateral, collateral)
    judgement = Judgement("none")
    accepted = ", ".join(policy.platforms)
    judge = _JUDGES.get(evidence.platform)
    if evidence.platform in policy.platforms and judge is not None:
        checks.record("platform", True, accepted, evidence.platform)
        judgement = judge(Case(checks, evidence, policy, at, sources, roots))
    else:
        known = f"{evidence.platform}, which this version cannot judge"
        checks.record(
            "platform", False, accepted, known if evidence.platform in policy.platforms else evidence.platform
        )

    name_unsigned(sources, quote=evidence.tdx_quote, table=evidence.snp_certificates)
    image = judgement.image
    claims = Claims(
        boot_configuration=configuration,
        boot_configuration_digest=evidence.boot_configuration_digest(),
        event_log_key=evidence.event_log_key,
        manifest_digest=evidence.binding.manifest_digest,
        pcrs=dict(enumerate(judgement.pcrs)),
        image=(image.flavor, image.manifest_digest) if image else None,
        identity=judgement.identity,
    )
    return Verdict(
        evidence.platform,
        judgement.identity_root,
        _is_confidential(checks, evidence.platform, image),
        at,
        policy.digest(),
        checks.finish(),
        claims,
        recording=isinstance(purpose, RecordingPurpose),
        skipped=sources.skipped,
    )


def _is_confidential(checks: Recorder, platform: Platform, image: ImageReference | None) -> bool:
    """Whether it is shown that hardware keeps the machine's memory from its host, and the image from everybody else.

    Any check may be what that stands on, so nothing that was judged may have failed.
    """
    return not checks.failed() and platform in _WITH_HARDWARE and image is not None and not image.debug


def _configuration(evidence: Evidence) -> BootConfiguration:
    try:
        return BootConfiguration.parse(evidence.boot_configuration)
    except FormatError as error:
        raise MalformedEvidence("Evidence.boot_configuration", 0, error.message) from error


def _require_event_log_key(evidence: Evidence) -> None:
    try:
        transcript.require_event_log_key(evidence.event_log_key)
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
            checks.not_applicable("purpose", "a recording is judged, for no session and no receipt of yours", found)
        case _:  # must not count as a purpose of which nothing is to be checked
            raise TypeError(f"Evidence is judged for a session or a receipt, not for {type(purpose).__name__}.")
    if isinstance(purpose, SessionPurpose) and isinstance(binding, SessionBinding):
        checks.equal("session-nonce", purpose.nonce, binding.nonce)
        checks.equal("session-tls-key", purpose.tls_key_digest, binding.tls_key_digest)
        checks.equal("session-hpke-key", purpose.hpke_key_digest, binding.hpke_key_digest)
    else:
        for name in ("session-nonce", "session-tls-key", "session-hpke-key"):
            checks.not_applicable(name, "no session is being judged")
    if isinstance(purpose, ReceiptPurpose) and isinstance(binding, ReceiptBinding):
        checks.equal("receipt-payload", purpose.payload_digest, binding.payload_digest)
        checks.equal("receipt-log-head", purpose.log_head, binding.log_head)
    else:
        for name in ("receipt-payload", "receipt-log-head"):
            checks.not_applicable(name, "no receipt is being judged")


def _check_configuration(checks: Recorder, configuration: BootConfiguration, policy: Policy) -> None:
    expected = policy.boot_configuration
    workspace = configuration.workspace
    checks.record("workspace", workspace == expected.workspace, expected.workspace, workspace)
    checks.record("cvm", configuration.cvm in expected.cvms, " or ".join(expected.cvms), configuration.cvm)
    owners = configuration.owners
    checks.record("owners", owners == expected.owners, ", ".join(expected.owners), ", ".join(owners))


def _check_runtime_log(checks: Recorder, evidence: Evidence) -> None:
    """The entries are the parts that the evidence carries, in the one order; PCR 15 is the platform's part."""
    log = evidence.runtime_log
    kinds = tuple(entry.kind for entry in log)
    least = runtimelog.ORDER[:2]
    ordered = kinds in (least, runtimelog.ORDER)
    wanted = f"{', '.join(least)} and then at most {runtimelog.Kind.MANIFEST}"
    checks.record("runtime-log", ordered, wanted, ", ".join(kinds) or "empty")
    if not ordered:
        for name in ("runtime-boot-configuration", "runtime-agent", "runtime-manifest"):
            checks.not_applicable(name, "the order of the runtime log is wrong")
        return
    checks.equal("runtime-boot-configuration", evidence.boot_configuration_digest(), log[0].digest)
    checks.equal("runtime-agent", hashlib.sha256(evidence.event_log_key).digest(), log[1].digest)
    bound = evidence.binding.manifest_digest
    measured = log[2].digest if len(log) > len(least) else None
    checks.record("runtime-manifest", measured == bound, _hex(bound), _hex(measured))


def _hex(digest: bytes | None) -> str:
    return digest.hex() if digest else "none"
