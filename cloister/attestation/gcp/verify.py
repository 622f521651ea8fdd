"""The platforms ``gcp-snp`` and ``gcp-tdx``.

With SEV-SNP the hardware measured Google's firmware, whose measurements Google signs, and keeps the memory from the
host. The image is measured into a vTPM that is the hypervisor's, not the chip's: for which image runs, a verdict stands
on Google's word, and names it as root. Both the report and the vTPM's quote are over the same report data.

With TDX the hardware has the measurements of image and firmware both: the vTPM is not asked.
"""

import functools
import hashlib
from collections.abc import Iterable, Mapping

from cloister.attestation import tpm, vtpm, x509
from cloister.attestation.case import Case, Judgement
from cloister.attestation.errors import PolicyError
from cloister.attestation.eventlog import EV_NO_ACTION, EventLog
from cloister.attestation.evidence import CERTIFICATE, LAUNCH_ENDORSEMENT, PARTS, Evidence
from cloister.attestation.gcp.endorsement import LaunchEndorsement
from cloister.attestation.gcp.instance import InstanceInfo
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import GcpInstance
from cloister.attestation.roots import AMD, GOOGLE_VTPM, SIMULATED
from cloister.attestation.snp import verify as snp
from cloister.attestation.snp.report import Report
from cloister.attestation.verdict import Recorder
from cloister.attestation.vtpm import VtpmEvidence
from cloister.protocol import canonical

NON_HOST_INFO = b"GCE NonHostInfo\0"
"""Begins the event in PCR 0 by which Google's firmware says how the machine's memory is kept (EV_NONHOST_INFO)."""

TECHNOLOGY_SNP = 4

_TECHNOLOGIES = {0: "none", 1: "SEV", 2: "SEV-ES", 3: "TDX", TECHNOLOGY_SNP: "SEV-SNP"}
_RESERVED = 15
_SEPARATOR = hashlib.sha256(bytes(4)).digest()
_SNP_PARTS = ("tpm_quote", "ak_certificates", "boot_event_log", "snp_report")
_OPTIONAL = ("snp_certificates", "launch_endorsement")
_MAX_ENDORSEMENTS = 16


def judge_snp(case: Case) -> Judgement:
    """All checks of ``gcp-snp``. Raises MalformedEvidence."""
    checks, evidence, policy = case.checks, case.evidence, case.policy
    section = policy.gcp
    if policy.snp is None or section is None or section.snp_min_svn is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform gcp-snp and lacks its sections.")
    root = _root(case, AMD, GOOGLE_VTPM)
    complete = _check_parts(checks, evidence, _SNP_PARTS, _OPTIONAL)
    parts = VtpmEvidence.parse(evidence)
    if not complete or parts is None or evidence.snp_report is None:
        return Judgement(root, False)
    report = Report.parse(evidence.snp_report)
    certificates, crls = snp.collect(evidence.snp_certificates, case.items)
    claims = snp.check_report(
        checks,
        report,
        certificates,
        crls,
        policy.snp,
        report_data=evidence.report_data(),
        at=case.at,
        chip_ids=policy.instances.chip_ids if policy.instances else (),
        anchors=case.anchors(AMD),
    )
    identity = dict(claims)

    measured = _endorsements(case)
    endorsed = [one for one in measured if one.snp and report.measurement in one.snp.measurements.values()]
    endorsement = next(iter(endorsed or measured), None)
    identity |= check_endorsement(case, endorsement, section)
    firmware = endorsement.snp if endorsement else None
    measurements = tuple(firmware.measurements.values()) if firmware else ()
    _check_firmware(checks, "gcp-launch-digest", report.measurement, measurements)
    _check_svn(checks, section.snp_min_svn, firmware.svn if firmware else None)

    identity |= check_instance(checks, parts.certificates[0], policy.instances.gcp if policy.instances else ())
    check_technology(checks, parts.event_log)
    anchor = next((anchor.spki_sha256 for anchor in case.anchors(GOOGLE_VTPM)), bytes(tpm.SHA256_SIZE))
    issuers = x509.issuers_among(parts.certificates[0], case.items(CERTIFICATE), parts.certificates[1:])
    vtpm.check_attestation_key(checks, parts, issuers, anchor, case.at, names_usage=False)
    vtpm.check_quote(checks, parts, evidence.report_data())
    vtpm.check_event_log(checks, parts)
    image = vtpm.check_registers(checks, parts.pcrs, policy, evidence.runtime_log)
    identity |= {
        "vtpm": "the hypervisor's: Google vouches for the image",
        "ak": parts.fingerprint().hex(),
        "tpm_firmware": f"{parts.attest.firmware_version:#018x}",
        "tpm_resets": str(parts.attest.reset_count),
    }
    return Judgement(root, image is not None and not image.debug, image, identity, parts.pcrs)


def check_endorsement(case: Case, endorsement: LaunchEndorsement | None, section: GcpPolicy) -> dict[str, str]:
    """Google's root vouches for the key that signed the endorsement. Returns what it says of the firmware."""
    checks = case.checks
    if endorsement is None:
        checks.record("gcp-endorsement-path", False, "a launch endorsement", "none")
        return {}
    anchor, leaf = section.endorsement_root_spki_sha256, endorsement.certificate
    issuers = x509.issuers_among(leaf, case.items(CERTIFICATE), endorsement.issuers)
    path, why = x509.find_path(leaf, (*endorsement.issuers, *issuers), anchor)
    wanted = f"a path to the authority with the key {anchor.hex()}"
    checks.record("gcp-endorsement-path", path is not None, wanted, why or "found")
    if path is None:
        checks.not_applicable("gcp-endorsement-validity", "there is no path whose certificates could be judged")
    else:
        worst = next((one for one in path if not one.valid_at(case.at)), leaf)
        period = f"valid from {canonical.to_time(worst.not_before)} to {canonical.to_time(worst.not_after)}"
        at = f"valid at {canonical.to_time(case.at)}"
        checks.record("gcp-endorsement-validity", worst.valid_at(case.at), at, period)
    signed = endorsement.signed()
    found = "valid" if signed else "not valid"
    checks.record("gcp-endorsement-signature", signed, "valid under the endorsement's certificate", found)
    return {"firmware_build": endorsement.build, "firmware_sha384": endorsement.digest.hex()}


def check_instance(checks: Recorder, certificate: x509.Certificate, allowed: tuple[GcpInstance, ...]) -> dict[str, str]:
    """The certificate's machine is in production, and one that the policy names. Returns what the certificate says."""
    info = InstanceInfo.of(certificate)
    if info is None:
        checks.record("gcp-instance", False, "a machine that the policy names", "none in the certificate")
        checks.not_applicable("gcp-production", "the certificate names no machine")
        return {}
    found = "production" if info.production else "something else"
    checks.record("gcp-production", info.production, "production", found)
    names = " or ".join(str(one.value()) for one in allowed) or "one that the policy names, and it names none"
    checks.record("gcp-instance", info.is_one_of(allowed), names, str(info))
    return {
        "gcp_project": info.project,
        "gcp_project_number": str(info.project_number),
        "gcp_zone": info.zone,
        "gcp_instance": f"{info.instance_name} ({info.instance_id})",
    }


def check_technology(checks: Recorder, log: EventLog) -> None:
    """The firmware measured into PCR 0 that the machine is one with SEV-SNP; else a Shielded VM's vTPM would do.

    Judged by digests and their order, which the register fixes. The type of an event and, for some types, its text are
    not in its digest: a guest could write the log anew, and could itself extend PCR 0, but only after the separator.
    """
    known = _technology_digests()
    digests = [event.digests[tpm.ALG_SHA256] for event in log.events if event.pcr == 0 and event.kind != EV_NO_ACTION]
    firmware = digests[: digests.index(_SEPARATOR)] if _SEPARATOR in digests else []
    by_firmware = [known[digest] for digest in firmware if digest in known]
    anywhere = [known[digest] for digest in digests if digest in known]
    passed = by_firmware == anywhere == [TECHNOLOGY_SNP]
    found = ", ".join(_TECHNOLOGIES.get(one, str(one)) for one in anywhere) or "nothing"
    checks.record("gcp-technology", passed, f"{_TECHNOLOGIES[TECHNOLOGY_SNP]}, once, before PCR 0's separator", found)


@functools.cache
def _technology_digests() -> Mapping[bytes, int]:
    """The technology by the digest of its event, for every value that its byte could have."""
    events = {number: NON_HOST_INFO + bytes([number]) + bytes(_RESERVED) for number in range(256)}
    return {hashlib.sha256(event).digest(): number for number, event in events.items()}


def _endorsements(case: Case) -> list[LaunchEndorsement]:
    """All that came: the evidence's own part, then collateral."""
    own = () if case.evidence.launch_endorsement is None else (case.evidence.launch_endorsement,)
    found = [*own, *case.items(LAUNCH_ENDORSEMENT)]
    return [LaunchEndorsement.parse(data) for data in found[:_MAX_ENDORSEMENTS]]


def _check_firmware(checks: Recorder, name: str, found: bytes, endorsed: Iterable[bytes]) -> None:
    endorsed = tuple(endorsed)
    wanted = f"one of the {len(endorsed)} measurements that Google endorses"
    checks.record(name, found in endorsed, wanted, found.hex())


def _check_svn(checks: Recorder, least: int, found: int | None) -> None:
    passed = found is not None and found >= least
    checks.record("gcp-firmware-svn", passed, f"at least {least}", "none" if found is None else str(found))


def _check_parts(checks: Recorder, evidence: Evidence, required: tuple[str, ...], optional: tuple[str, ...]) -> bool:
    every = ("tpm_quote", "ak_certificates", "boot_event_log", *PARTS)
    present = [name for name in every if getattr(evidence, name)]
    complete = set(required) <= set(present) <= {*required, *optional}
    wanted = f"{', '.join(required)}, and at most {', '.join(optional)} besides"
    return checks.record("parts", complete, wanted, ", ".join(present) or "none of them")


def _root(case: Case, *vendors: str) -> str:
    """What the verdict names: the last of ``vendors``, unless one of them is simulated."""
    simulated = any(anchor.simulated for vendor in vendors for anchor in case.anchors(vendor))
    return SIMULATED if simulated else vendors[-1]
