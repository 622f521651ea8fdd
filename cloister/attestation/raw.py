"""A bare piece of hardware evidence, as a machine's firmware gave it to somebody: only its vendor's layers are judged.

A SEV-SNP report, a TDX quote, or a report of Azure's paravisor with a quote of its vTPM. Nothing in it says which
session, boot configuration, manifest or agent it belongs to, so its verdict is of a kind of its own: no session can be
opened with it, and it says what was not judged.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloister.attestation.azure import hcl
from cloister.attestation.azure.hcl import HclReport
from cloister.attestation.collateral.unsigned import name_unsigned
from cloister.attestation.collateral.usable import Skipped, Sources
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.platforms import azure, vtpm
from cloister.attestation.platforms.appraisal import moment
from cloister.attestation.platforms.tdx import one_anchor
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Check, Outcome, Recorder
from cloister.attestation.roots import AMD, INTEL, MICROSOFT_PARAVISOR, VENDORS, Anchor, vouching
from cloister.attestation.snp import checks as snp_checks
from cloister.attestation.snp import verify as snp
from cloister.attestation.snp.report import Report
from cloister.attestation.tdx import checks as tdx_checks
from cloister.attestation.tdx import verify as tdx
from cloister.attestation.tdx.quote import Quote
from cloister.attestation.tpm.rsa import RsaSignature
from cloister.protocol import canonical

_PLATFORM = "platform"
_TPM = ("quote-magic", "quote-type", "quote-signature", "quote-binding", "quote-selection", "quote-pcr-digest")
_NEVER = (
    "for whom it was made: a session or a receipt, its nonce and its keys",
    "the boot configuration, the agent and the manifest of the machine",
)


@dataclass(frozen=True)
class RawSnp:
    """A report (1184 bytes), and the host's certificate table where it came with one."""

    report: bytes
    certificates: bytes | None = None


@dataclass(frozen=True)
class RawTdx:
    """A quote of version 4 or 5."""

    quote: bytes


@dataclass(frozen=True)
class RawHcl:
    """A report of Azure's paravisor with a quote of its vTPM: TPMS_ATTEST, the RSASSA signature, the quoted values.

    ``pcrs`` are values of the SHA-256 bank by register. ``tdx_quote`` belongs to a TDX machine.
    """

    report: bytes
    attest: bytes
    signature: bytes
    pcrs: Mapping[int, bytes]
    tdx_quote: bytes | None = None


Raw = RawSnp | RawTdx | RawHcl


@dataclass(frozen=True)
class RawVerdict:
    """What the vendors' layers say. ``genuine`` is no acceptance of a machine: ``not_judged`` lists what is open.

    ``skipped`` is collateral that had no say.
    """

    platform: str
    identity_root: str
    at: datetime
    policy: bytes
    checks: tuple[Check, ...]
    identity: Mapping[str, str]
    not_judged: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def genuine(self) -> bool:
        """Whether nothing failed of what was judged."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The failed checks, all of them."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    def value(self) -> dict[str, Any]:
        """The JSON value, as published in docs/schemas/raw-verdict.schema.json."""
        return {
            "version": 1,
            "raw": True,
            "platform": self.platform,
            "identity_root": self.identity_root,
            "at": canonical.to_time(self.at),
            "policy": self.policy.hex(),
            "genuine": self.genuine,
            "checks": [check.value() for check in self.checks],
            "identity": dict(self.identity),
            "not_judged": list(self.not_judged),
            **({"skipped": [one.value() for one in self.skipped]} if self.skipped else {}),
        }


@dataclass(frozen=True)
class _Question:
    """What the parts of the judgement share; each records into ``checks`` and returns claims."""

    checks: Recorder
    policy: Policy
    report_data: bytes | None
    at: datetime
    items: Callable[[str], Any]
    roots: tuple[Anchor, ...]

    def anchors(self, vendor: str) -> tuple[Anchor, ...]:
        return tuple(anchor for anchor in self.roots if anchor.identity_root == vendor)

    def snp(self, report: Report, table: bytes | None, report_data: bytes | None) -> dict[str, str]:
        if self.policy.snp is None:
            raise _without("snp")
        certificates, crls = snp.collect(table, self.items)
        instances = self.policy.instances
        return snp.check_report(
            self.checks,
            report,
            certificates,
            crls,
            self.policy.snp,
            report_data=report_data,
            at=self.at,
            anchors=self.anchors(AMD),
            chip_ids=instances.chip_ids if instances else (),
        )

    def tdx(self, quote: Quote, report_data: bytes | None, *, paravisor: bool = False) -> dict[str, str]:
        if self.policy.tdx is None:
            raise _without("tdx")
        return tdx.check_quote(
            self.checks,
            quote,
            self.policy.tdx.for_paravisor() if paravisor else self.policy.tdx,
            report_data=report_data,
            at=self.at,
            items=self.items,
            anchor=one_anchor(self.anchors(INTEL)),
            ppids=self.policy.instances.ppids if self.policy.instances else (),
        )


def verify_raw(
    raw: Raw,
    policy: Policy,
    *,
    report_data: bytes | None,
    at: datetime,
    collateral: Collateral | None = None,
    roots: tuple[Anchor, ...] = VENDORS,
) -> RawVerdict:
    """The verdict on ``raw`` under the vendors' sections of ``policy`` as of ``at`` (aware).

    ``report_data`` is what the caller had the evidence made over: the 64 bytes of a report or quote, or a vTPM quote's
    qualifying data; None leaves it open. Raises MalformedEvidence for bytes that cannot be read, CollateralError for
    collateral that might refuse and cannot be read, PolicyError when the policy has no section for the kind or ``at``
    no zone.
    """
    at = moment(at)
    sources = Sources((), collateral)
    report = HclReport.parse(raw.report) if isinstance(raw, RawHcl) else None
    platforms, names = _kind(raw, report)
    checks = Recorder((_PLATFORM, *names))
    question = _Question(checks, policy, report_data, at, sources.items, roots)
    platform = next((one for one in platforms if one in policy.platforms), platforms[0])
    accepted = ", ".join(policy.platforms)
    open_: tuple[str, ...] = ()
    root, identity = "none", {}
    known = platform in policy.platforms
    if checks.record(_PLATFORM, known, accepted, platform if known else " or ".join(platforms)):
        if isinstance(raw, RawSnp):
            root = vouching(question.anchors(AMD), AMD)
            identity = question.snp(Report.parse(raw.report), raw.certificates, report_data)
            open_ = ("the image that was launched: its launch digest is only shown",)
        elif isinstance(raw, RawTdx):
            root = vouching(question.anchors(INTEL), INTEL)
            identity = question.tdx(Quote.parse(raw.quote), report_data)
            open_ = ("the image that was booted: MRTD and RTMR 0 to 3 are only shown",)
        elif report is not None:
            vendor = AMD if report.report_type == hcl.TYPE_SNP else INTEL
            root = vouching(question.anchors(vendor), MICROSOFT_PARAVISOR)
            identity = _judge_hcl(question, raw, report)
            open_ = (
                "the image that was booted: the registers are authentic and compared with nothing",
                "whether the paravisor's report is fresh: what the guest wrote as user data is only shown",
                "that the vTPM's key signs nothing but what its vTPM made: its public area did not come",
            )
    quote = raw.quote if isinstance(raw, RawTdx) else raw.tdx_quote if isinstance(raw, RawHcl) else None
    name_unsigned(sources, quote=quote, table=raw.certificates if isinstance(raw, RawSnp) else None)
    return RawVerdict(
        platform, root, at, policy.digest(), checks.finish(), identity, (*_NEVER, *open_), sources.skipped
    )


def _kind(raw: Raw, report: HclReport | None) -> tuple[tuple[Platform, ...], tuple[str, ...]]:
    """The platforms that such evidence comes from, and the names of its checks. Raises MalformedEvidence."""
    if isinstance(raw, RawSnp):
        return (Platform.SEV_SNP, Platform.GCP_SNP), snp_checks.NAMES
    if isinstance(raw, RawTdx):
        return (Platform.TDX, Platform.GCP_TDX), tdx_checks.NAMES
    if report is not None and report.report_type == hcl.TYPE_SNP:
        return (Platform.AZURE_SNP,), (*snp_checks.NAMES, "azure-id-key", "azure-guest-svn", *_TPM)
    if raw.tdx_quote is None:
        raise MalformedEvidence("HCL report", 0, "is of a TDX machine, and no TDX quote came with it")
    return (Platform.AZURE_TDX,), (*tdx_checks.NAMES, "azure-mrtd", "azure-mrseam", "azure-rtmrs", *_TPM)


def _judge_hcl(question: _Question, raw: RawHcl, report: HclReport) -> dict[str, str]:
    """The hardware vouches for the runtime claims, they name the vTPM's key, that key signed the quote."""
    section = question.policy.azure
    if report.report_type == hcl.TYPE_SNP:
        if section is None or section.snp is None:
            raise _without("azure.snp")
        hardware = Report.parse(report.hardware_report)
        identity = question.snp(hardware, None, report.report_data())
        azure.check_snp_paravisor(question.checks, hardware, section.snp)
    else:
        if section is None or section.tdx is None or raw.tdx_quote is None:
            raise _without("azure.tdx")
        quote = Quote.parse(raw.tdx_quote)
        identity = question.tdx(quote, report.report_data(), paravisor=True)
        azure.check_tdx_paravisor(question.checks, quote, section.tdx)
    key = azure.claimed_key(report)
    signature = RsaSignature.parse(raw.signature)
    vtpm.check_signed_quote(question.checks, raw.attest, signature, key, raw.pcrs, question.report_data)
    shown = {f"pcr{index}": value.hex() for index, value in sorted(raw.pcrs.items())}
    claims = report.claims
    return {**identity, "azure_vm_id": claims.vm_unique_id, "user_data": claims.user_data.hex(), **shown}


def _without(section: str) -> PolicyError:
    return PolicyError(f"The policy accepts the platform and has no section {section}.")
