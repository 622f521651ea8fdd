"""The TD and the platform under it, against what the party demands.

Source of the bits: Intel TDX Module ABI Reference Specification, ATTRIBUTES, XFAM and TDREPORT_STRUCT.
"""

from cloister.attestation.result import Recorder
from cloister.attestation.tdx.policy import DEBUG, MIGRATABLE, TdxPolicy
from cloister.attestation.tdx.quote import TdReport
from cloister.attestation.tdx.tcb import Evaluation
from cloister.protocol import canonical

# x87 and SSE: the TDX module lets no TD be without.
_XFAM_REQUIRED = 0b11
_ZERO_ATTRIBUTES = bytes(8)


def masked(value: bytes, mask: bytes) -> bytes:
    """The bits of ``value`` that ``mask`` (of the same size) has."""
    return bytes(one & bits for one, bits in zip(value, mask, strict=True))


def check_status(checks: Recorder, evaluation: Evaluation, section: TdxPolicy) -> None:
    """The status of the platform's TCB is one that the policy accepts, and so are the advisories that come with it."""
    bar = section.bar()
    wanted = " or ".join(section.tcb_statuses)
    if bar is not None:
        wanted += f", or out of date with everything known before {canonical.to_time(bar)} dealt with"
    status = evaluation.status
    found = evaluation.reason if status is None else status.value
    if evaluation.out_of_date_since is not None:
        found += f", {evaluation.otherwise} until {canonical.to_time(evaluation.out_of_date_since)}"
    checks.record("tdx-tcb-status", section.accepts(evaluation), wanted, found)
    if status is None:
        return
    forgiven = status not in section.tcb_statuses and section.accepts(evaluation)
    judged = evaluation.standing if forgiven else evaluation.advisories
    listed = ", ".join(evaluation.advisories) or "none"
    if forgiven and not judged:
        checks.not_applicable("tdx-advisories", "the platform is out of date by no more than the policy allows", listed)
        return
    accepted = ", ".join(section.advisories) or "none"
    checks.record("tdx-advisories", set(judged) <= set(section.advisories), accepted, ", ".join(judged) or "none")


def check_domain(checks: Recorder, report: TdReport, section: TdxPolicy) -> None:
    """The TDX module and the way in which the host started the TD."""
    checks.equal("tdx-mr-signer-seam", section.mr_signer_seam, report.mr_signer_seam)
    checks.equal("tdx-seam-attributes", _ZERO_ATTRIBUTES, report.seam_attributes)
    if section.mr_seams:
        wanted = " or ".join(digest.hex() for digest in section.mr_seams)
        checks.record("tdx-mr-seam", report.mr_seam in section.mr_seams, wanted, report.mr_seam.hex())
    else:
        checks.not_applicable("tdx-mr-seam", "the policy takes every TDX module of the signer", report.mr_seam.hex())
    attributes = int.from_bytes(report.td_attributes, "little")
    found = report.td_attributes.hex()
    checks.record("tdx-debug", not attributes & DEBUG, "bits 7:0 of the attributes zero", found)
    checks.record("tdx-migratable", not attributes & MIGRATABLE, "bit 29 of the attributes zero", found)
    rest = attributes & ~(DEBUG | MIGRATABLE)
    required, allowed = section.attributes_required, section.attributes_allowed
    proper = rest & required == required and not rest & ~allowed
    checks.record("tdx-attributes", proper, f"at least {_bits(required)}, at most {_bits(allowed)}", found)
    xfam = int.from_bytes(report.xfam, "little")
    proper = xfam & _XFAM_REQUIRED == _XFAM_REQUIRED and not xfam & ~section.xfam_allowed
    wanted = f"at least {_bits(_XFAM_REQUIRED)}, at most {_bits(section.xfam_allowed)}"
    checks.record("tdx-xfam", proper, wanted, report.xfam.hex())
    checks.equal("tdx-mr-owner", section.mr_owner, report.mr_owner)
    checks.equal("tdx-mr-owner-config", section.mr_owner_config, report.mr_owner_config)
    service = report.mr_service_td
    if service is None:
        checks.not_applicable("tdx-service-td", "a TD report 1.0 does not name them")
    else:
        accepted = (bytes(len(service)), *section.service_tds)
        wanted = " or ".join(digest.hex() for digest in accepted)
        checks.record("tdx-service-td", service in accepted, wanted, service.hex())


def _bits(value: int) -> str:
    """A bit set as a quote has it: eight bytes, the lowest first."""
    return value.to_bytes(8, "little").hex()
