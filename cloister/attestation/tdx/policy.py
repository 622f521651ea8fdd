"""The policy's section ``tdx``: what a party demands of a TD and its platform, and the checks of a TD report against
it.

Every member has a default, which is the strict choice. Source of the bits: Intel TDX Module ABI Reference
Specification, ATTRIBUTES, XFAM and TDREPORT_STRUCT.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tdx.quote import BODY_TD_1_0, BODY_TD_1_5, TdReport
from cloister.attestation.tdx.tcb_info import TcbStatus
from cloister.attestation.tdx.tcb_status import Evaluation
from cloister.protocol import canonical

DEBUG = 0xFF
"""TD ATTRIBUTES, bits 7:0 (TUD): the TD is under debug, so the host can read its memory (TDX Module ABI, ATTRIBUTES).
"""

MIGRATABLE = 1 << 29
SEPT_VE_DISABLE = 1 << 28
PKS = 1 << 30
KEY_LOCKER = 1 << 31

REPORT_VERSIONS = {BODY_TD_1_0: "1.0", BODY_TD_1_5: "1.5"}
"""The versions of a TD report by the type of a quote's body, the oldest first."""

_WHAT = "The policy's section tdx"
_MR_SIZE = 48
_ZERO = bytes(_MR_SIZE)
_WORD = 8
_FIRST_YEAR = 2018
_MAX_GRACE = 3650
# x87 and SSE: the TDX module requires both.
_XFAM_REQUIRED = 0b11
_ZERO_ATTRIBUTES = bytes(8)


@dataclass(frozen=True)
class TdxReference:
    """Reference values of one image for the platform ``tdx``.

    ``mrtds`` are the accepted firmware measurements, ``rtmrs`` registers by number: always 1 and 2, and 0 (the host's
    configuration of the firmware) if it is pinned. Digests are SHA-384, 48 bytes.
    """

    mrtds: tuple[bytes, ...]
    rtmrs: Mapping[int, bytes]

    def __post_init__(self) -> None:
        """Rules that hold between members. Raises PolicyError."""
        object.__setattr__(self, "rtmrs", MappingProxyType(dict(self.rtmrs)))
        if not self.mrtds or not {1, 2} <= self.rtmrs.keys() <= {0, 1, 2}:
            raise PolicyError("The policy's member tdx of an image must have an MRTD and RTMR 1 and 2.")

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which has passed the schema. Raises PolicyError."""
        return cls(
            tuple(bytes.fromhex(text) for text in value["mrtds"]),
            {int(index): bytes.fromhex(text) for index, text in value["rtmrs"].items()},
        )

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {
            "mrtds": [digest.hex() for digest in self.mrtds],
            "rtmrs": {str(index): digest.hex() for index, digest in sorted(self.rtmrs.items())},
        }


@dataclass(frozen=True)
class TdxPolicy:
    """What a TD and its platform must be. Measurements have 48 bytes; bit sets are integers.

    attributes_required: bits of ATTRIBUTES that must be set.
    attributes_allowed: bits of ATTRIBUTES that may be set.
    xfam_allowed: bits of XFAM that may be set.
    tcb_statuses: accepted TCB statuses.
    up_to_date_as_of: accept an out-of-date platform that addresses all advisories published before this day; None never
        accepts one.
    grace_days: days to subtract from ``up_to_date_as_of``.
    advisories: advisories that may be open on the platform.
    max_collateral_age_days: maximum age of TCB info, QE identity and the list of the PCK CA; None sets no limit.
    min_tcb_evaluation_data_number: the least number of Intel's TCB evaluation; None sets no limit.
    require_crl: require current revocation lists.
    mr_signer_seam: the signer of the TDX module; zeros are Intel.
    mr_seams: accepted TDX modules; empty accepts any module of the signer.
    mr_owner: MROWNER, zeros by default.
    mr_owner_config: MROWNERCONFIG, zeros by default.
    service_tds: accepted values of MR_SERVICETD besides zeros; with any, a TD report must have that field.
    minimum_report_version: the least version of the TD report, 1.0 or 1.5. A TD report 1.0 does not say which service
        TDs are bound nor which TDX module runs now, and the host chooses the version.
    """

    attributes_required: int = SEPT_VE_DISABLE
    attributes_allowed: int = SEPT_VE_DISABLE | PKS | KEY_LOCKER
    # What the TDX module lets a TD have: x87, SSE, AVX, AVX-512, PT, PK, CET, UINTR, LBR, AMX (TDX Module ABI, XFAM).
    xfam_allowed: int = 0x6DBE7
    tcb_statuses: tuple[TcbStatus, ...] = (TcbStatus.UP_TO_DATE,)
    up_to_date_as_of: date | None = None
    grace_days: int = 0
    advisories: tuple[str, ...] = ()
    max_collateral_age_days: int | None = None
    min_tcb_evaluation_data_number: int | None = None
    require_crl: bool = True
    mr_signer_seam: bytes = _ZERO
    mr_seams: tuple[bytes, ...] = ()
    mr_owner: bytes = _ZERO
    mr_owner_config: bytes = _ZERO
    service_tds: tuple[bytes, ...] = ()
    minimum_report_version: str = REPORT_VERSIONS[BODY_TD_1_0]

    def __post_init__(self) -> None:
        """Rules that hold between members. Raises PolicyError."""
        if (self.attributes_required | self.attributes_allowed) & (DEBUG | MIGRATABLE):
            raise PolicyError(
                f"{_WHAT} accepts TDs that are under debug or may be migrated.",
                hint="The host, or another machine, can read such a TD's memory: clear bits 7:0 and 29.",
            )
        if self.attributes_required & ~self.attributes_allowed:
            raise PolicyError(f"{_WHAT} requires attributes that it does not allow.")
        if self.minimum_report_version not in REPORT_VERSIONS.values():
            raise PolicyError(f"{_WHAT} demands a TD report of a version that does not exist; it may be 1.0 or 1.5.")
        if TcbStatus.REVOKED in self.tcb_statuses:
            raise PolicyError(f"{_WHAT} accepts platforms that Intel has revoked.")
        if not self.tcb_statuses:
            raise PolicyError(f"{_WHAT} accepts no TCB status, so it would accept no machine.")
        if not 0 <= self.grace_days <= _MAX_GRACE or (
            self.up_to_date_as_of and self.up_to_date_as_of.year < _FIRST_YEAR
        ):
            raise PolicyError(f"{_WHAT} has a day before {_FIRST_YEAR}, or more than {_MAX_GRACE} days of grace.")
        if self.grace_days and self.up_to_date_as_of is None:
            raise PolicyError(f"{_WHAT} has grace_days without up_to_date_as_of.")

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which has passed the schema. Raises PolicyError."""
        members: dict[str, Any] = dict(value)
        for name in ("attributes_required", "attributes_allowed", "xfam_allowed"):
            if name in members:
                members[name] = int.from_bytes(bytes.fromhex(members[name]), "little")
        for name in ("mr_signer_seam", "mr_owner", "mr_owner_config"):
            if name in members:
                members[name] = bytes.fromhex(members[name])
        for name in ("mr_seams", "service_tds"):
            if name in members:
                members[name] = tuple(bytes.fromhex(text) for text in members[name])
        if "tcb_statuses" in members:
            members["tcb_statuses"] = tuple(TcbStatus(text) for text in members["tcb_statuses"])
        if "advisories" in members:
            members["advisories"] = tuple(sorted(set(members["advisories"])))
        if "up_to_date_as_of" in members:
            try:
                members["up_to_date_as_of"] = date.fromisoformat(members["up_to_date_as_of"])
            except ValueError as error:
                raise PolicyError(f"{_WHAT}: up_to_date_as_of is not a valid date.") from error
        return cls(**members)

    def value(self) -> dict[str, Any]:
        """The JSON value, including members with default values; bit sets are little endian, as in a quote."""
        value: dict[str, Any] = {
            "attributes_required": self.attributes_required.to_bytes(_WORD, "little").hex(),
            "attributes_allowed": self.attributes_allowed.to_bytes(_WORD, "little").hex(),
            "xfam_allowed": self.xfam_allowed.to_bytes(_WORD, "little").hex(),
            "tcb_statuses": [status.value for status in self.tcb_statuses],
            "advisories": list(self.advisories),
            "require_crl": self.require_crl,
            "mr_signer_seam": self.mr_signer_seam.hex(),
            "mr_seams": [digest.hex() for digest in self.mr_seams],
            "mr_owner": self.mr_owner.hex(),
            "mr_owner_config": self.mr_owner_config.hex(),
            "service_tds": [digest.hex() for digest in self.service_tds],
            "minimum_report_version": self.minimum_report_version,
        }
        if self.up_to_date_as_of is not None:
            value["up_to_date_as_of"] = self.up_to_date_as_of.isoformat()
            value["grace_days"] = self.grace_days
        if self.max_collateral_age_days is not None:
            value["max_collateral_age_days"] = self.max_collateral_age_days
        if self.min_tcb_evaluation_data_number is not None:
            value["min_tcb_evaluation_data_number"] = self.min_tcb_evaluation_data_number
        return value

    def for_paravisor(self) -> Self:
        """This policy for a TD whose guest is a paravisor, which need not disable #VE on pending pages."""
        return dataclasses.replace(self, attributes_required=self.attributes_required & ~SEPT_VE_DISABLE)

    def update_deadline(self) -> datetime | None:
        """Return when an out-of-date platform must still have been up to date; None if it may never be out of date."""
        if self.up_to_date_as_of is None:
            return None
        day = datetime(self.up_to_date_as_of.year, self.up_to_date_as_of.month, self.up_to_date_as_of.day, tzinfo=UTC)
        return day - timedelta(days=self.grace_days)

    def accepts(self, evaluation: Evaluation) -> bool:
        """Return whether the policy accepts the platform's status."""
        if evaluation.status is None:
            return False
        if evaluation.status in self.tcb_statuses:
            return True
        deadline, since = self.update_deadline(), evaluation.out_of_date_since
        forgiven = deadline is not None and since is not None and since >= deadline
        return forgiven and evaluation.status_without_update in self.tcb_statuses


def check_status(checks: Recorder, evaluation: Evaluation, section: TdxPolicy) -> None:
    """The policy accepts the status of the platform's TCB and its open advisories."""
    deadline = section.update_deadline()
    wanted = " or ".join(section.tcb_statuses)
    if deadline is not None:
        wanted += f", or out of date with everything known before {canonical.to_time(deadline)} dealt with"
    status = evaluation.status
    found = evaluation.reason if status is None else status.value
    if evaluation.out_of_date_since is not None:
        found += f", {evaluation.status_without_update} until {canonical.to_time(evaluation.out_of_date_since)}"
    checks.record("tdx-tcb-status", section.accepts(evaluation), wanted, found)
    if status is None:
        return
    forgiven = status not in section.tcb_statuses and section.accepts(evaluation)
    judged = evaluation.advisories_without_update if forgiven else evaluation.advisories
    listed = ", ".join(evaluation.advisories) or "none"
    if forgiven and not judged:
        checks.not_applicable("tdx-advisories", "the platform is out of date by no more than the policy allows", listed)
        return
    accepted = ", ".join(section.advisories) or "none"
    checks.record("tdx-advisories", set(judged) <= set(section.advisories), accepted, ", ".join(judged) or "none")


def check_domain(checks: Recorder, report: TdReport, section: TdxPolicy) -> None:
    """The policy accepts the TDX module and how the host started the TD."""
    version = REPORT_VERSIONS[report.body]
    least = section.minimum_report_version
    checks.record("tdx-report-version", version >= least, f"at least {least}", version)
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
    if service is None and section.service_tds:
        named = " or ".join(digest.hex() for digest in section.service_tds)
        checks.record("tdx-service-td", False, f"none or {named}", "absent in a TD report 1.0")
    elif service is None:
        checks.not_applicable("tdx-service-td", "a TD report 1.0 does not name them")
    else:
        accepted = (bytes(len(service)), *section.service_tds)
        wanted = " or ".join(digest.hex() for digest in accepted)
        checks.record("tdx-service-td", service in accepted, wanted, service.hex())


def _bits(value: int) -> str:
    """A bit set as in a quote: eight bytes, little endian, in hex."""
    return value.to_bytes(8, "little").hex()
