"""The platforms ``gcp-snp`` and ``gcp-tdx``.

With SEV-SNP the hardware measured Google's firmware, whose measurements Google signs, and keeps the memory from the
host. The image is measured into a vTPM that is the hypervisor's, not the chip's: for which image runs, a verdict stands
on Google's word, and names it as root. Both the report and the vTPM's quote are over the same report data.

With TDX the hardware has the measurements of image and firmware both: the vTPM is not asked.
"""

import functools
import hashlib
from collections.abc import Mapping

from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import CERTIFICATE
from cloister.attestation.gcp.instance import InstanceInfo
from cloister.attestation.instances import GcpInstance
from cloister.attestation.platforms import gcp_firmware, vtpm
from cloister.attestation.platforms import tdx as tdx_judge
from cloister.attestation.platforms.appraisal import Case, Judgement
from cloister.attestation.platforms.parts import check_parts
from cloister.attestation.platforms.vtpm import VtpmEvidence
from cloister.attestation.result import NONE_NAMED, Recorder
from cloister.attestation.roots import AMD, GOOGLE_VTPM, INTEL, vouching
from cloister.attestation.snp import verify as snp
from cloister.attestation.snp.report import Report
from cloister.attestation.tdx import verify as tdx
from cloister.attestation.tdx.quote import Quote
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.ccel import Ccel
from cloister.attestation.tpm.eventlog import EV_NO_ACTION, EventLog
from cloister.attestation.x509 import x509

NON_HOST_INFO = b"GCE NonHostInfo\0"
"""Begins the event in PCR 0 by which Google's firmware says how the machine's memory is kept (EV_NONHOST_INFO)."""

TECHNOLOGY_SNP = 4

_TECHNOLOGIES = {0: "none", 1: "SEV", 2: "SEV-ES", 3: "TDX", TECHNOLOGY_SNP: "SEV-SNP"}
_RESERVED = 15
_SEPARATOR = hashlib.sha256(bytes(4)).digest()
_SNP_PARTS = ("tpm_quote", "ak_certificates", "boot_event_log", "snp_report")
_TDX_PARTS = ("tdx_quote", "ccel")
_OPTIONAL = ("launch_endorsement", "snp_certificates")


def judge_snp(case: Case) -> Judgement:
    """All checks of ``gcp-snp``. Raises MalformedEvidence."""
    checks, evidence, policy = case.checks, case.evidence, case.policy
    section = policy.gcp
    if policy.snp is None or section is None or section.snp_min_svn is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform gcp-snp and lacks its sections.")
    root = vouching((*case.anchors(AMD), *case.anchors(GOOGLE_VTPM)), GOOGLE_VTPM)
    complete = check_parts(checks, evidence, _SNP_PARTS, _OPTIONAL)
    parts = VtpmEvidence.parse(evidence)
    if not complete or parts is None or evidence.snp_report is None:
        return Judgement(root)
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

    offered = gcp_firmware.endorsements(case)
    fitting = [one for one in offered if one.snp and report.measurement in one.snp.measurements.values()]
    endorsement = next(iter(fitting or offered), None)
    identity |= gcp_firmware.check_endorsement(case, endorsement, section)
    if endorsement is not None:
        launched = endorsement.snp
        measurements = tuple(launched.measurements.values()) if launched else ()
        gcp_firmware.check_measurement(checks, "gcp-launch-digest", report.measurement, measurements)
        gcp_firmware.check_svn(checks, section.snp_min_svn, launched.svn if launched else None)

    identity |= check_instance(checks, parts.certificates[0], policy.instances.gcp if policy.instances else ())
    check_technology(checks, parts.event_log)
    anchor = next((anchor.spki_sha256 for anchor in case.anchors(GOOGLE_VTPM)), bytes(structures.SHA256_SIZE))
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
    return Judgement(root, image, identity, parts.pcrs)


def judge_tdx(case: Case) -> Judgement:
    """All checks of ``gcp-tdx``. Raises MalformedEvidence."""
    checks, evidence, policy = case.checks, case.evidence, case.policy
    section = policy.gcp
    if policy.tdx is None or section is None or section.tdx_min_svn is None:  # Policy demands them
        raise PolicyError("The policy accepts the platform gcp-tdx and lacks its sections.")
    anchor = tdx_judge.one_anchor(case.anchors(INTEL))
    complete = check_parts(checks, evidence, _TDX_PARTS, _OPTIONAL[:1])
    if not complete or evidence.tdx_quote is None or evidence.ccel is None:
        return Judgement(anchor.vouches)
    quote, log = Quote.parse(evidence.tdx_quote), Ccel.parse(evidence.ccel)
    report = quote.report
    identity = tdx.check_quote(
        checks,
        quote,
        policy.tdx,
        report_data=evidence.report_data(),
        at=case.at,
        items=case.items,
        anchor=anchor,
        ppids=policy.instances.ppids if policy.instances else (),
    )
    offered = gcp_firmware.endorsements(case)
    fitting = [one for one in offered if one.tdx and report.mr_td in one.tdx.mrtds]
    endorsement = next(iter(fitting or offered), None)
    identity |= gcp_firmware.check_endorsement(case, endorsement, section)
    if endorsement is not None:
        launched = endorsement.tdx
        gcp_firmware.check_measurement(checks, "gcp-mrtd", report.mr_td, launched.mrtds if launched else ())
        gcp_firmware.check_svn(checks, section.tdx_min_svn, launched.svn if launched else None)
    tdx_judge.check_event_log(checks, log, report)
    image = tdx_judge.check_image(checks, report, policy, firmware=False)
    return Judgement(anchor.vouches, image, identity)


def check_instance(checks: Recorder, certificate: x509.Certificate, allowed: tuple[GcpInstance, ...]) -> dict[str, str]:
    """The certificate's machine is in production, and one that the policy names. Returns what the certificate says."""
    info = InstanceInfo.of(certificate)
    if info is None:
        checks.record("gcp-instance", False, "a machine that the policy names", "none in the certificate")
        checks.not_applicable("gcp-production", "the certificate names no machine")
        return {}
    found = "production" if info.production else "something else"
    checks.record("gcp-production", info.production, "production", found)
    names = " or ".join(map(str, allowed)) or NONE_NAMED
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
    digests = [
        event.digests[structures.ALG_SHA256] for event in log.events if event.pcr == 0 and event.kind != EV_NO_ACTION
    ]
    measured = digests[: digests.index(_SEPARATOR)] if _SEPARATOR in digests else []
    by_firmware = [known[digest] for digest in measured if digest in known]
    anywhere = [known[digest] for digest in digests if digest in known]
    passed = by_firmware == anywhere == [TECHNOLOGY_SNP]
    found = ", ".join(_TECHNOLOGIES.get(one, str(one)) for one in anywhere) or "nothing"
    checks.record("gcp-technology", passed, f"{_TECHNOLOGIES[TECHNOLOGY_SNP]}, once, before PCR 0's separator", found)


@functools.cache
def _technology_digests() -> Mapping[bytes, int]:
    """The technology by the digest of its event, for every value that its byte could have."""
    events = {number: NON_HOST_INFO + bytes([number]) + bytes(_RESERVED) for number in range(256)}
    return {hashlib.sha256(event).digest(): number for number, event in events.items()}
