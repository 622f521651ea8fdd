"""What a TDX quote proves: that a platform which Intel vouches for runs a TD with these measurements, and how.

The chain, from the TD to Intel: the TD's report is signed by the attestation key (Intel TDX DCAP Quoting Library API,
A.3.8); the quoting enclave's report names that key in its report data (A.3.11); the platform's key (PCK) signs that
report; Intel's certificates lead from the PCK to the pinned root. Intel's statements then say whether that quoting
enclave, that TDX module and that platform are good enough.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.result import Recorder
from cloister.attestation.roots import VENDORS, Anchor
from cloister.attestation.tdx import domain, published
from cloister.attestation.tdx.collateral import QeIdentity, TcbInfo
from cloister.attestation.tdx.pck import Pck
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.tdx.published import Material, Path
from cloister.attestation.tdx.quote import INTEL_QE, EnclaveReport, Quote
from cloister.attestation.tdx.tcb import Evaluation, evaluate, find_module
from cloister.attestation.x509 import crl, x509
from cloister.protocol import canonical

INTEL_ROOT = next(anchor for anchor in VENDORS if anchor.identity_root == "intel")
"""Intel's own root: what vouches for a platform unless the caller hands in another."""

_NO_STATEMENT = "there is no statement of Intel's that is signed"


def check_quote(
    checks: Recorder,
    quote: Quote,
    section: TdxPolicy,
    *,
    report_data: bytes | None,
    at: datetime,
    items: Callable[[str], Iterable[bytes]],
    anchor: Anchor = INTEL_ROOT,
    ppids: Sequence[bytes] = (),
) -> dict[str, str]:
    """Records every check of ``checks.NAMES``, or leaves those that cannot be judged to the recorder.

    ``report_data`` (64 bytes) is what the quote must be made over, None when the caller names none; ``items`` gives the
    collateral of a kind; ``ppids`` are the platforms that may be at the other end, all when there are none. Returns who
    vouches: names, statuses and dates. Raises MalformedEvidence for certificates and collateral that cannot be read.
    """
    chain = [x509.Certificate.parse(der, f"PCK chain[{index}]") for index, der in enumerate(quote.pck_chain)]
    material = Material.parse(chain, items)
    pck = Pck.parse(chain[0])
    _check_signatures(checks, quote, pck)
    path = published.pck_path(chain, anchor)
    certificates = path.certificates
    checks.record("tdx-pck-path", bool(certificates), f"a path to {anchor.spki_sha256.hex()}", path.why or "found")
    if certificates:
        worst = next((one for one in certificates if not one.valid_at(at)), pck.certificate)
        wanted = f"valid at {canonical.to_time(at)}"
        checks.record("tdx-pck-validity", worst.valid_at(at), wanted, published.validity(worst))
    info, info_path = published.check_statement(
        checks, "tdx-tcb-info", published.candidates(pck, material), material, anchor, at
    )
    identity, identity_path = published.check_statement(
        checks, "tdx-qe-identity", material.identities, material, anchor, at
    )
    lists = _check_revocation(checks, path, (info_path, identity_path), material, section, at)
    statements = [one for one in (info, identity) if one is not None]
    published.check_age(checks, section, statements, lists, at)
    evaluation = _check_platform(checks, quote, pck, info, identity, section)
    allowed = " or ".join(ppid.hex() for ppid in ppids)
    if ppids:
        checks.record("tdx-platform-instance", pck.ppid in ppids, allowed, pck.ppid.hex())
    else:
        checks.not_applicable("tdx-platform-instance", "the policy names no platform", pck.ppid.hex())
    domain.check_domain(checks, quote.report, section)
    if report_data is None:
        found = quote.report.report_data.hex()
        checks.not_applicable("tdx-report-data", "you named nothing that the quote must be made over", found)
    else:
        checks.equal("tdx-report-data", report_data, quote.report.report_data)
    identities = {
        "root": anchor.name or anchor.vouches,
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
        "crl": lists.period() if lists else "none",
    }
    return identities | {f"rtmr{index}": value.hex() for index, value in enumerate(quote.report.rtmrs)}


def _check_signatures(checks: Recorder, quote: Quote, pck: Pck) -> None:
    """From the TD's report to the platform's key."""
    checks.equal("tdx-qe-vendor", INTEL_QE, quote.qe_vendor)
    key = _attestation_key(quote)
    signed = published.signed_by_key(key, quote.signature, quote.signed)
    found = "valid" if signed else "not valid"
    checks.record("tdx-quote-signature", signed, "valid under the attestation key", found)
    digest = hashlib.sha256(quote.attestation_key + quote.authentication_data).digest()
    checks.equal("tdx-attestation-key", digest + bytes(32), quote.qe_report.report_data)
    signed = published.signed(pck.certificate, quote.qe_report_signature, quote.qe_report_bytes)
    found = "valid" if signed else "not valid"
    checks.record("tdx-qe-report-signature", signed, "valid under the platform's key", found)


def _attestation_key(quote: Quote) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError as error:
        raise MalformedEvidence("TDX quote.attestation key", 0, "is not a point on the curve P-256") from error


def _check_revocation(
    checks: Recorder, path: Path, signers: Iterable[Path], material: Material, section: TdxPolicy, at: datetime
) -> crl.RevocationList | None:
    """No certificate that counts is revoked. Returns the list of the platforms' keys, if there is one.

    What any list of the issuer revoked is revoked; a current list must be there unless the policy does without.
    """
    if not path.certificates:
        return None
    leaf, authority, root = path.certificates
    lists = _check_lists(checks, "tdx-pck-revocation", authority, (leaf,), material, section, at)
    others = {signer.certificates[0].der: signer.certificates[0] for signer in signers if signer.certificates}
    _check_lists(checks, "tdx-ca-revocation", root, (authority, *others.values()), material, section, at)
    return lists


def _check_lists(
    checks: Recorder,
    name: str,
    issuer: x509.Certificate,
    certificates: Iterable[x509.Certificate],
    material: Material,
    section: TdxPolicy,
    at: datetime,
) -> crl.RevocationList | None:
    current, why = crl.current(material.lists, issuer, at)
    wanted = f"not revoked, by a list that is current at {canonical.to_time(at)}"
    serials = [certificate.parsed.serial_number for certificate in certificates]
    revoked = [serial for serial in serials if crl.revoked(material.lists, issuer, serial)]
    if revoked:
        checks.record(name, False, wanted, ", ".join(f"serial number {serial:x} is revoked" for serial in revoked))
    elif current is not None:
        checks.record(name, True, wanted, f"not revoked by the list {current.period()}")
    elif section.require_crl:
        checks.record(name, False, wanted, why)
    else:
        checks.not_applicable(name, f"the policy does not require a revocation list, and {why}")
    return current


def _check_platform(
    checks: Recorder,
    quote: Quote,
    pck: Pck,
    info: TcbInfo | None,
    identity: QeIdentity | None,
    section: TdxPolicy,
) -> Evaluation | None:
    """Quoting enclave, TDX module and TCB, against what Intel says of them."""
    report = quote.report
    if identity is not None:
        wanted, found = _enclave(identity, quote.qe_report)
        checks.record("tdx-quoting-enclave", wanted == found, wanted, found)
    if info is not None:
        module = find_module(info, report.tee_tcb_svn)
        wanted = "a module that Intel publishes"
        if module is not None:
            wanted = f"signer {module.mr_signer.hex()}, attributes {module.attributes.hex()}"
            masked = domain.masked(report.seam_attributes, module.attributes_mask)
            same = module.mr_signer == report.mr_signer_seam and masked == domain.masked(
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
    domain.check_status(checks, evaluation, section)
    return evaluation


def _enclave(identity: QeIdentity, report: EnclaveReport) -> tuple[str, str]:
    """What the quoting enclave must be and what it is, under the masks."""
    misc = domain.masked(identity.misc_select, identity.misc_select_mask)
    attributes = domain.masked(identity.attributes, identity.attributes_mask)
    wanted = (identity.mr_signer, identity.isv_prod_id, misc, attributes)
    found = (
        report.mr_signer,
        int.from_bytes(report.isv_prod_id, "little"),
        domain.masked(report.misc_select, identity.misc_select_mask),
        domain.masked(report.attributes, identity.attributes_mask),
    )

    def text(value: tuple[bytes, int, bytes, bytes]) -> str:
        signer, product, misc, attributes = value
        return f"signer {signer.hex()}, product {product}, MISCSELECT {misc.hex()}, attributes {attributes.hex()}"

    return text(wanted), text(found)
