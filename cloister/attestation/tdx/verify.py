"""Verify a TDX quote: the platform, for which Intel vouches, and the TD with its measurements.

The chain, from the TD to Intel: the TD's report is signed by the attestation key (Intel TDX DCAP Quoting Library API,
A.3.8); the quoting enclave's report names that key in its report data (A.3.11); the platform's key (PCK) signs that
report; Intel's certificates lead from the PCK to the pinned root. Intel's endorsements then say whether that quoting
enclave, that TDX module and that platform are good enough.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.tdx.certificates import Pck
from cloister.attestation.tdx.checks import REVOKED, UNSIGNED_QE_IDENTITY, UNSIGNED_TCB_INFO
from cloister.attestation.tdx.collateral import (
    CertificatePath,
    IntelCollateral,
    check_age,
    check_statement,
    evaluation_numbers,
    pck_path,
    tcb_infos_for,
    validity,
)
from cloister.attestation.tdx.policy import TdxPolicy, check_domain, check_status
from cloister.attestation.tdx.quote import INTEL_QE, EnclaveReport, TdxQuote
from cloister.attestation.tdx.signatures import is_signed_by, is_signed_with
from cloister.attestation.tdx.tcb_info import QeIdentity, TcbInfo
from cloister.attestation.tdx.tcb_status import Evaluation, evaluate, find_module
from cloister.attestation.x509 import crl
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.roots import VENDORS, Anchor
from cloister.protocol import canonical

INTEL_ROOT = next(anchor for anchor in VENDORS if anchor.identity_root == "intel")
"""Intel's own root, used unless the caller passes another anchor."""


def check_quote(
    checks: Recorder,
    quote: TdxQuote,
    collateral: IntelCollateral,
    section: TdxPolicy,
    *,
    report_data: bytes | None,
    at: datetime,
    anchor: Anchor = INTEL_ROOT,
    ppids: Sequence[bytes] = (),
) -> dict[str, str]:
    """Records every check of ``TDX_NAMES``, or leaves those that cannot be judged to the recorder.

    ``report_data`` (64 bytes) is what the quote must be made over, None to skip that check; ``ppids`` are the platforms
    that may be at the other end, any platform if empty. Returns claims about the platform: names, statuses and dates.
    Raises MalformedEvidence for certificates of the quote that cannot be parsed.
    """
    chain = collateral.chain
    pck = Pck.parse(chain[0])
    _check_signatures(checks, quote, pck)
    path = pck_path(chain, anchor)
    certificates = path.certificates
    checks.record("tdx-pck-path", bool(certificates), f"a path to {anchor.spki_sha256.hex()}", path.why or "found")
    if certificates:
        worst = next((one for one in certificates if not one.valid_at(at)), pck.certificate)
        wanted = f"valid at {canonical.to_time(at)}"
        checks.record("tdx-pck-validity", worst.valid_at(at), wanted, validity(worst))
    info, info_path = check_statement(
        checks, "tdx-tcb-info", tcb_infos_for(pck, collateral), collateral, anchor, at, UNSIGNED_TCB_INFO
    )
    identity, identity_path = check_statement(
        checks, "tdx-qe-identity", collateral.identities, collateral, anchor, at, UNSIGNED_QE_IDENTITY
    )
    lists = _check_revocation(checks, path, (info_path, identity_path), collateral, section, at)
    statements = [one for one in (info, identity) if one is not None]
    check_age(checks, section, statements, lists, at)
    evaluation = _check_platform(checks, quote, pck, info, identity, section)
    allowed = " or ".join(ppid.hex() for ppid in ppids)
    if ppids:
        checks.record("tdx-platform-instance", pck.ppid in ppids, allowed, pck.ppid.hex())
    else:
        checks.not_applicable("tdx-platform-instance", "the policy names no platform", pck.ppid.hex())
    check_domain(checks, quote.report, section)
    if report_data is None:
        found = quote.report.report_data.hex()
        checks.not_applicable("tdx-report-data", "you named nothing that the quote must be made over", found)
    else:
        checks.equal("tdx-report-data", report_data, quote.report.report_data)
    identities = {
        "root": anchor.name or anchor.verdict_root,
        "root_key": anchor.spki_sha256.hex(),
        "fmspc": pck.fmspc.hex(),
        "ppid": pck.ppid.hex(),
        "tee_tcb_svn": quote.report.tee_tcb_svn.hex(),
        "mr_seam": quote.report.mr_seam.hex(),
        "mr_td": quote.report.mr_td.hex(),
        "tcb_status": evaluation.status.value if evaluation and evaluation.status else "none",
        "tcb_date": canonical.to_time(evaluation.date) if evaluation and evaluation.date else "none",
        "advisories": ", ".join(evaluation.advisories) if evaluation else "",
        "tcb_info": info.period() if info else "none",
        "qe_identity": identity.period() if identity else "none",
        "tcb_evaluation": evaluation_numbers(statements) or "none",
        "crl": lists.period() if lists else "none",
    }
    return identities | {f"rtmr{index}": value.hex() for index, value in enumerate(quote.report.rtmrs)}


def _check_signatures(checks: Recorder, quote: TdxQuote, pck: Pck) -> None:
    """Checks the signatures from the TD's report to the platform's key."""
    checks.equal("tdx-qe-vendor", INTEL_QE, quote.qe_vendor)
    key = _attestation_key(quote)
    signed = is_signed_with(key, quote.signature, quote.signed)
    found = "valid" if signed else "not valid"
    checks.record("tdx-quote-signature", signed, "valid under the attestation key", found)
    digest = hashlib.sha256(quote.attestation_key + quote.authentication_data).digest()
    checks.equal("tdx-attestation-key", digest + bytes(32), quote.qe_report.report_data)
    signed = is_signed_by(pck.certificate, quote.qe_report_signature, quote.qe_report_bytes)
    found = "valid" if signed else "not valid"
    checks.record("tdx-qe-report-signature", signed, "valid under the platform's key", found)


def _attestation_key(quote: TdxQuote) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError as error:
        raise MalformedEvidence("TDX quote.attestation key", 0, "is not a point on the curve P-256") from error


def _check_revocation(
    checks: Recorder,
    path: CertificatePath,
    signers: Iterable[CertificatePath],
    collateral: IntelCollateral,
    section: TdxPolicy,
    at: datetime,
) -> crl.RevocationList | None:
    """No certificate of the paths is revoked. Returns the current list for platforms' keys, or None.

    Every list of the issuer can revoke; a current list must be present unless the policy does not require it.
    """
    if not path.certificates:
        return None
    leaf, authority, root = path.certificates
    lists = _check_lists(checks, "tdx-pck-revocation", authority, (leaf,), collateral, section, at)
    others = {signer.certificates[0].der: signer.certificates[0] for signer in signers if signer.certificates}
    _check_lists(checks, "tdx-ca-revocation", root, (authority, *others.values()), collateral, section, at)
    return lists


def _check_lists(
    checks: Recorder,
    name: str,
    issuer: Certificate,
    certificates: Iterable[Certificate],
    collateral: IntelCollateral,
    section: TdxPolicy,
    at: datetime,
) -> crl.RevocationList | None:
    current, why = crl.current(collateral.lists, issuer, at)
    if current is not None:
        checks.use(current)
    wanted = f"not revoked, by a list that is current at {canonical.to_time(at)}"
    serials = [certificate.parsed.serial_number for certificate in certificates]
    revoked = [serial for serial in serials if crl.revoked(collateral.lists, issuer, serial)]
    if revoked:
        checks.fail(name, wanted, ", ".join(f"serial number {serial:x} is revoked" for serial in revoked), REVOKED)
    elif current is not None:
        checks.record(name, True, wanted, f"not revoked by the list {current.period()}")
    elif section.require_crl:
        checks.record(name, False, wanted, why)
    else:
        checks.not_applicable(name, f"the policy does not require a revocation list, and {why}")
    return current


def _check_platform(
    checks: Recorder,
    quote: TdxQuote,
    pck: Pck,
    info: TcbInfo | None,
    identity: QeIdentity | None,
    section: TdxPolicy,
) -> Evaluation | None:
    """Compares quoting enclave, TDX module and TCB with what Intel publishes."""
    report = quote.report
    if identity is not None:
        wanted, found = _enclave(identity, quote.qe_report)
        checks.record("tdx-quoting-enclave", wanted == found, wanted, found)
    if info is not None:
        module = find_module(info, report.tee_tcb_svn)
        wanted = "a module that Intel publishes"
        if module is not None:
            wanted = f"signer {module.mr_signer.hex()}, attributes {module.attributes.hex()}"
            masked = _masked(report.seam_attributes, module.attributes_mask)
            same = module.mr_signer == report.mr_signer_seam and masked == _masked(
                module.attributes, module.attributes_mask
            )
            found = f"signer {report.mr_signer_seam.hex()}, attributes {report.seam_attributes.hex()}"
            checks.record("tdx-module", same, wanted, found)
        else:
            checks.record("tdx-module", False, wanted, f"version {report.tee_tcb_svn[1]}, which is unknown")
    if info is None or identity is None:
        return None
    qe_svn = int.from_bytes(quote.qe_report.isv_svn, "little")
    evaluation = evaluate(report, pck, info, identity, qe_svn)
    check_status(checks, evaluation, section)
    return evaluation


def _masked(value: bytes, mask: bytes) -> bytes:
    """``value`` with the bits cleared that ``mask`` (of the same size) does not have."""
    return bytes(one & bits for one, bits in zip(value, mask, strict=True))


def _enclave(identity: QeIdentity, report: EnclaveReport) -> tuple[str, str]:
    """What the quoting enclave must be and what it is, under the masks."""
    misc = _masked(identity.misc_select, identity.misc_select_mask)
    attributes = _masked(identity.attributes, identity.attributes_mask)
    wanted = (identity.mr_signer, identity.isv_prod_id, misc, attributes)
    found = (
        report.mr_signer,
        int.from_bytes(report.isv_prod_id, "little"),
        _masked(report.misc_select, identity.misc_select_mask),
        _masked(report.attributes, identity.attributes_mask),
    )

    def text(value: tuple[bytes, int, bytes, bytes]) -> str:
        signer, product, misc, attributes = value
        return f"signer {signer.hex()}, product {product}, MISCSELECT {misc.hex()}, attributes {attributes.hex()}"

    return text(wanted), text(found)
