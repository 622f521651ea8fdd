"""A first policy for raw evidence, from a bare report or quote: it pins what that shows.

Such a policy recognises what ran; it does not show that it is trustworthy. Every value is therefore listed with its
meaning and who can confirm it. Evidence makes a policy only if its signatures lead to a pinned root.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from cloister.attestation.azure.hcl import TYPE_SNP, HclReport
from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.collateral_source import Collateral
from cloister.attestation.errors import PolicyError
from cloister.attestation.first_policy.from_manifest import AdoptedValue
from cloister.attestation.first_policy.hardware import Adopted, azure_snp_section, azure_tdx_section, snp_section
from cloister.attestation.first_policy.strict import require_genuine, without_lists
from cloister.attestation.policy.evidence_policy import EvidencePolicy, RawPlatform
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.registers import PCR_REGISTERS, RTMR_REGISTERS, Knows
from cloister.attestation.raw.verdict import RawVerdict
from cloister.attestation.raw.verifier import verify_raw
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.pins import SnpPins
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.tdx.pins import TdxPins
from cloister.attestation.tdx.policy import REPORT_VERSIONS, TdxPolicy
from cloister.attestation.tdx.quote import TdReport, TdxQuote
from cloister.attestation.x509.roots import VENDORS, Anchor

_OLDER = "yourself: an older format of the report then fails"
_INTEL = "Intel's list of TDX modules: which versions are good enough"
_MISSING = "Name the missing certificates after --from-evidence, add --collateral DIR, or pass --fetch."


def policy_from_raw(
    raw: Raw, *, at: datetime, collateral: Collateral | None = None, roots: tuple[Anchor, ...] = VENDORS
) -> tuple[EvidencePolicy, tuple[AdoptedValue, ...], RawVerdict]:
    """The policy, the values that it adopts in its order, and the verdict on the evidence under it as of ``at``.

    What weakens a machine (debug, migration, SMT, a VMPL above 0, an outdated TCB) is never adopted: the policy is
    strict, and the verdict has the checks that fail. Raises ProofError if the signatures do not lead to a pinned root,
    PolicyError for an unknown processor, MalformedEvidence if the evidence cannot be parsed.
    """
    adopted = Adopted()
    usable = UsableCollateral((), collateral)
    policy = _build(raw, adopted, lambda table: AmdCollateral.gather(table, usable).leaves)

    def judge(under: EvidencePolicy) -> RawVerdict:
        return verify_raw(raw, under, report_data=None, at=at, collateral=collateral, roots=roots)

    require_genuine(judge(without_lists(policy)).failures, "The evidence is not shown to be genuine", _MISSING)
    return policy, tuple(adopted.values), judge(policy)


_Leaves = Callable[[bytes | None], tuple[EndorsementCertificate, ...]]


def _build(raw: Raw, adopted: Adopted, leaves: _Leaves) -> EvidencePolicy:
    if isinstance(raw, RawSnp):
        report = SnpReport.parse(raw.report)
        section = _snp(adopted, report, leaves(raw.certificates))
        return EvidencePolicy((RawPlatform.SEV_SNP,), snp=section, snp_pins=_snp_pins(adopted, report))
    if isinstance(raw, RawTdx):
        quote = TdxQuote.parse(raw.quote)
        section, pins = _tdx(adopted, quote.report), _tdx_pins(adopted, quote.report)
        return EvidencePolicy((RawPlatform.TDX,), tdx=section, tdx_pins=pins)
    if isinstance(raw, RawHcl):
        return _build_azure(raw, adopted, leaves)
    raise PolicyError(
        "A TPM's quote or a log alone makes no policy: it shows no machine.",
        hint="Pass the machine's report or TDX quote, too; or write a policy by hand, with these lines and what you "
        "pin: version: 1, kind: evidence, platforms: [tpm] (for a TD's log: [tdx], tdx: {}).",
    )


def _build_azure(raw: RawHcl, adopted: Adopted, leaves: _Leaves) -> EvidencePolicy:
    hcl = HclReport.parse(raw.report, recorded=True)
    if hcl.report_type == TYPE_SNP:
        report = SnpReport.parse(hcl.hardware_report)
        section = _snp(adopted, report, leaves(None))
        azure = azure_snp_section(adopted, report)
        pcrs = _pcrs(adopted, raw)
        return EvidencePolicy((RawPlatform.AZURE_SNP,), snp=section, azure=azure, pcrs=pcrs)
    if raw.tdx_quote is None:
        raise PolicyError("An Azure HCL report of a TDX machine needs its TDX quote.", hint="Pass the quote, too.")
    measured = TdxQuote.parse(raw.tdx_quote).report
    section, azure = _tdx(adopted, measured), azure_tdx_section(adopted, measured)
    return EvidencePolicy((RawPlatform.AZURE_TDX,), tdx=section, azure=azure, pcrs=_pcrs(adopted, raw))


def _snp(adopted: Adopted, report: SnpReport, leaves: tuple[EndorsementCertificate, ...]) -> SnpPolicy:
    section = snp_section(adopted, report, leaves)
    adopted.add("snp.minimum_report_version", f"version of the report: at least {report.version}", "", _OLDER)
    section = replace(section, minimum_report_version=report.version)
    if any(report.id_key_digest):
        key = report.id_key_digest
        adopted.add("snp.id_key_digests", "the key that signed the guest's ID block", key.hex(), "who signed it")
        section = replace(section, id_key_digests=(key,))
    if report.has_author_key and any(report.author_key_digest):
        key = report.author_key_digest
        adopted.add("snp.author_key_digests", "the key that signed the ID key", key.hex(), "who signed it")
        section = replace(section, author_key_digests=(key,))
    return section


def _snp_pins(adopted: Adopted, report: SnpReport) -> SnpPins:
    launched = "what was launched: firmware, number of processors, and with it perhaps kernel, initrd and command line"
    adopted.add("snp.launch_digests", launched, report.measurement.hex(), Knows.BUILDER)
    adopted.add("snp.host_data", "what the host gave the machine at launch", report.host_data.hex(), Knows.STARTER)
    named: dict[str, bytes] = {}
    for member, what, value in (("family_id", "family", report.family_id), ("image_id", "image", report.image_id)):
        if any(value):
            adopted.add(f"snp.{member}", f"the {what} in the ID block", value.hex(), "who signed the ID block")
            named[member] = value
    return SnpPins(
        launch_digests=(report.measurement,),
        host_data=report.host_data,
        family_id=named.get("family_id"),
        image_id=named.get("image_id"),
    )


def _tdx(adopted: Adopted, report: TdReport) -> TdxPolicy:
    version = REPORT_VERSIONS[report.body]
    adopted.add("tdx.minimum_report_version", f"version of the TD report: at least {version}", "", _OLDER)
    section = TdxPolicy(minimum_report_version=version)
    for member in ("mr_owner", "mr_owner_config"):
        value = getattr(report, member)
        if any(value):
            adopted.add(f"tdx.{member}", "the owner that the host named", value.hex(), Knows.STARTER)
            section = replace(section, **{member: value})
    return section


def _tdx_pins(adopted: Adopted, report: TdReport) -> TdxPins:
    adopted.add("tdx.mrtds", "the firmware that the machine was started with", report.mr_td.hex(), Knows.FIRMWARE)
    for index, (register, value) in enumerate(zip(RTMR_REGISTERS, report.rtmrs, strict=True)):
        adopted.add(f"tdx.rtmrs.{index}", register.meaning, value.hex(), register.known_by)
    adopted.add("tdx.mr_config_id", "what the host gave the machine at start", report.mr_config_id.hex(), Knows.STARTER)
    adopted.add("tdx.minimum_tee_tcb_svn", "the TDX module at launch", report.tee_tcb_svn.hex(), _INTEL)
    if report.tee_tcb_svn2 is not None:
        adopted.add("tdx.minimum_tee_tcb_svn2", "the TDX module that runs now", report.tee_tcb_svn2.hex(), _INTEL)
    return TdxPins(
        mrtds=(report.mr_td,),
        rtmrs=dict(enumerate(report.rtmrs)),
        mr_config_id=report.mr_config_id,
        minimum_tee_tcb_svn=report.tee_tcb_svn,
        minimum_tee_tcb_svn2=report.tee_tcb_svn2,
    )


def _pcrs(adopted: Adopted, raw: RawHcl) -> dict[int, bytes]:
    pcrs = raw.quote.pcrs if raw.quote is not None else {}
    found = {index: pcrs[index] for index, register in PCR_REGISTERS.items() if register.lasts and index in pcrs}
    for index, value in found.items():
        adopted.add(f"pcrs.{index}", PCR_REGISTERS[index].meaning, value.hex(), PCR_REGISTERS[index].known_by)
    return found
