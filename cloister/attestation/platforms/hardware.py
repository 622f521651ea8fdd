"""The hardware part of an appraisal: the checks of its SEV-SNP report or TDX quote."""

from cloister.attestation.errors import PolicyError
from cloister.attestation.platforms.appraisal import Appraisal
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.policy import VMPL, SnpPolicy
from cloister.attestation.snp.report import SnpReport
from cloister.attestation.snp.verify import check_report
from cloister.attestation.tdx.collateral import IntelCollateral
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.tdx.verify import check_quote
from cloister.attestation.x509.roots import AMD, INTEL, Anchor


def check_snp(
    appraisal: Appraisal,
    report: SnpReport,
    table: bytes | None,
    section: SnpPolicy,
    report_data: bytes | None,
    vmpl: int = VMPL,
) -> dict[str, str]:
    """Records every check of a SEV-SNP report and returns its claims. Raises MalformedEvidence, CollateralError.

    ``table`` is the host's certificate table, None without one. ``report_data`` None skips that check. ``vmpl`` is the
    level that must have requested the report.
    """
    collateral = AmdCollateral.gather(table, appraisal.collateral)
    appraisal.collateral.add_issuers(collateral.issuers)
    instances = appraisal.instances
    return check_report(
        appraisal.checks,
        report,
        collateral,
        section,
        report_data=report_data,
        at=appraisal.at,
        anchors=appraisal.anchors(AMD),
        chip_ids=instances.chip_ids if instances else (),
        vmpl=vmpl,
        cache=appraisal.collateral,
    )


def check_tdx(appraisal: Appraisal, quote: TdxQuote, section: TdxPolicy, report_data: bytes | None) -> dict[str, str]:
    """Records every check of a TDX quote and returns its claims. Raises MalformedEvidence, CollateralError,
    PolicyError.

    ``report_data`` None skips that check.
    """
    anchor = intel_anchor(appraisal)
    chain = quote.parse_chain(appraisal.collateral.parse_certificate)
    appraisal.collateral.add_issuers(chain)
    instances = appraisal.instances
    return check_quote(
        appraisal.checks,
        quote,
        IntelCollateral.gather(chain, appraisal.collateral),
        section,
        report_data=report_data,
        at=appraisal.at,
        anchor=anchor,
        ppids=instances.ppids if instances else (),
    )


def intel_anchor(appraisal: Appraisal) -> Anchor:
    """The anchor for Intel's one root. Raises PolicyError unless the caller passed exactly one."""
    anchors = appraisal.anchors(INTEL)
    if len(anchors) != 1:
        raise PolicyError(f"There are {len(anchors)} anchors for Intel's certificates, there must be one.")
    return anchors[0]
