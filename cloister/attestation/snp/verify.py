"""Verify a SEV-SNP report: the processor that signed it, its firmware, and the rights of the guest.

The same for every platform that has a report. The caller says what report data and launch digest must be: each platform
binds and identifies its image in its own way.
"""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloister.attestation.result.verdict import NONE_NAMED, Recorded, Recorder
from cloister.attestation.snp import clouds
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.chain import check_period, check_revocation, find_chain, lacks_issuers
from cloister.attestation.snp.checks import CERTIFIED_ELSEWHERE, WITHOUT_ISSUER, WITHOUT_LEAF
from cloister.attestation.snp.collateral import AmdCollateral
from cloister.attestation.snp.policy import VMPL, SnpPolicy, check_guest, check_platform, check_tcb
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import SIGNED_SIZE, SigningKey, SnpReport
from cloister.attestation.x509.roots import Anchor
from cloister.attestation.x509.signers import Signers

_MAX_ENDORSEMENTS = 8
_REPORT_DATA, _MEASUREMENT = 0x50, 0x90  # between these is the report data
_SHA384 = ec.ECDSA(hashes.SHA384())
# A report of version 2 does not name its processor; Turin never had such firmware.
_WITHOUT_CPUID = (ProductLine.MILAN, ProductLine.GENOA)


class PartCache(Protocol):
    """What earlier appraisals recorded."""

    def part(self, key: Hashable, inputs: object, make: Callable[[], Recorded]) -> tuple[Recorded, bool]:
        """What is recorded for ``key``, and whether ``make`` recorded it now; ``inputs`` keep their identity."""
        ...


def check_report(
    checks: Recorder,
    report: SnpReport,
    collateral: AmdCollateral,
    section: SnpPolicy,
    *,
    report_data: bytes | None,
    at: datetime,
    anchors: Sequence[Anchor],
    chip_ids: Sequence[bytes] = (),
    vmpl: int = VMPL,
    cache: PartCache | None = None,
) -> dict[str, str]:
    """Records every check of ``SNP_NAMES`` and returns claims about the machine.

    ``report_data`` are the 64 bytes that the report must carry, None to skip that check. ``anchors`` are AMD's.
    ``chip_ids`` are the chips that the policy accepts, any chip if empty. ``vmpl`` is the level that must have
    requested the report. ``cache`` has what was recorded for a report that differs in report data and signature only.
    """
    signatures: Signers[bool] = Signers()
    leaf = find_leaf(report, collateral.leaves, signatures)
    if leaf is None:
        checks.not_applicable("snp-signature", "the certificate of the signing key is absent")
    else:
        signed = _signed(report, leaf, signatures)
        checks.record("snp-signature", signed, f"valid under the key of the {leaf.kind.name}", _valid(signed))
    if report_data is None:
        checks.not_applicable("snp-report-data", "you named no report data", report.report_data.hex())
    else:
        checks.equal("snp-report-data", report_data, report.report_data)

    def rest() -> Recorded:
        return checks.part(lambda: _check_rest(checks, report, leaf, collateral, section, at, anchors, chip_ids, vmpl))

    if cache is None:
        return dict(rest().result)
    # All inputs of the rest. What is named by its identity never changes: a policy and parsed collateral are frozen.
    inputs = (leaf, collateral.issuers, collateral.lists, section, checks.catalogue)
    identities = (id(leaf), *map(id, collateral.issuers), None, *map(id, collateral.lists), None, id(section))
    data = (report.data[:_REPORT_DATA], report.data[_MEASUREMENT:SIGNED_SIZE])
    key = (data, identities, id(checks.catalogue), at, tuple(anchors), tuple(chip_ids), vmpl)
    recorded, is_new = cache.part(key, inputs, rest)
    if not is_new:
        checks.repeat(recorded)
    return dict(recorded.result)


def _check_rest(
    checks: Recorder,
    report: SnpReport,
    leaf: EndorsementCertificate | None,
    collateral: AmdCollateral,
    section: SnpPolicy,
    at: datetime,
    anchors: Sequence[Anchor],
    chip_ids: Sequence[bytes],
    vmpl: int,
) -> dict[str, str]:
    """Every check that depends neither on the report data nor on the signature. Returns the claims."""
    least = section.minimum_report_version
    checks.record("snp-report-version", report.version >= least, f"at least {least}", str(report.version))
    allowed = (SigningKey.VCEK, SigningKey.VLEK) if section.allow_vlek else (SigningKey.VCEK,)
    kind = report.signing_key
    checks.record("snp-signing-key", kind in allowed, " or ".join(key.name for key in allowed), kind.name)
    line = _check_product(checks, report, leaf, section)

    if leaf is None:
        chain, why = None, f"no {kind.name} certificate is present"
    else:
        chain, why = find_chain(leaf, collateral.issuers, anchors)
    wanted = "a chain to AMD's root of the product line"
    if leaf is None:
        checks.fail("snp-chain", wanted, why, WITHOUT_LEAF)
    elif chain is None and lacks_issuers(leaf, collateral.issuers, anchors):
        checks.fail("snp-chain", wanted, why, WITHOUT_ISSUER)
    else:
        checks.record("snp-chain", chain is not None, wanted, why or "found")
    if chain is not None:
        checks.use(chain.leaf, chain.signer, chain.root)
    check_period(checks, chain, at)
    listed = check_revocation(checks, chain, collateral.lists, section, at)

    _check_leaf(checks, report, leaf, line, section)
    if chip_ids:
        chip = report.chip(line) if line else report.chip_id
        found = chip.hex() if any(chip) else "absent: the host masks it"
        checks.record("snp-instance", chip in chip_ids, " or ".join(one.hex() for one in chip_ids), found)
    else:
        checks.not_applicable("snp-instance", "the policy names no chips", report.chip_id.hex())
    check_guest(checks, report, section, vmpl)
    check_platform(checks, report, section)
    check_tcb(checks, report, line, section)
    return _claims(report, leaf, line, listed)


def find_leaf(
    report: SnpReport, leaves: Sequence[EndorsementCertificate], signatures: Signers[bool] | None = None
) -> EndorsementCertificate | None:
    """The certificate whose key signed the report, or else the first one of the kind that the report names.

    A folder may have the certificates of many chips and of many TCB versions: those of this one are tried first.
    ``signatures`` takes the results for the report's signature.
    """
    known: Signers[bool] = signatures or Signers()
    kind, chip = report.signing_key, report.chip_id
    fitting = [leaf for leaf in leaves if leaf.kind is kind]
    if len(fitting) > 1:
        own = [leaf for leaf in fitting if leaf.amd.hwid is not None and chip.startswith(leaf.amd.hwid)]
        own.sort(key=lambda leaf: not _is_for_tcb(leaf, report))
        fitting = [*own, *(leaf for leaf in fitting if not any(leaf is one for one in own))]
    first = fitting[0] if fitting else None
    candidates = fitting[:_MAX_ENDORSEMENTS] if len(fitting) > 1 else ()
    return next((leaf for leaf in candidates if _signed(report, leaf, known)), first)


def _is_for_tcb(leaf: EndorsementCertificate, report: SnpReport) -> bool:
    line = leaf.amd.product_line
    return line is not None and leaf.amd.tcb.encode(line) == report.reported_tcb


def _check_product(
    checks: Recorder, report: SnpReport, leaf: EndorsementCertificate | None, section: SnpPolicy
) -> ProductLine | None:
    """The line that the report names is the certificate's, and the policy accepts it. Returns the line of the chip."""
    wanted = " or ".join(section.minimum_tcb) or NONE_NAMED
    line = report.product_line
    found = f"family {report.family:#x} model {report.model:#x}, which is {line or 'not known'}"
    certified = leaf.amd.product_line if leaf else None
    if report.version == 2:
        line = certified if certified in _WITHOUT_CPUID else None
        found = f"a report of version 2, which names no processor, for {certified or 'a product that is not known'}"
        if leaf is None:
            checks.fail("snp-product", wanted, "product unknown without a certificate", WITHOUT_LEAF)
            return None
    elif leaf is not None and certified is not line:
        found += f", and a certificate for {leaf.amd.product_name!r}"
    fits = leaf is None or certified is line
    failure = None if fits else CERTIFIED_ELSEWHERE
    checks.judge("snp-product", fits and line in section.minimum_tcb, wanted, found, failure)
    return line


def _check_leaf(
    checks: Recorder,
    report: SnpReport,
    leaf: EndorsementCertificate | None,
    line: ProductLine | None,
    section: SnpPolicy,
) -> None:
    """The certificate is for this chip or cloud and this TCB version."""
    if leaf is None:
        for name in ("snp-chip", "snp-certificate-tcb"):
            checks.not_applicable(name, "the certificate of the signing key is absent")
        return
    if line is None:
        for name in ("snp-chip", "snp-certificate-tcb"):
            checks.not_applicable(name, "the layout of an unknown product is not known")
        return
    if leaf.amd.hwid is None and section.vlek_clouds:
        cloud = leaf.amd.csp_id or "absent"
        known = any(name in section.vlek_clouds for name in clouds.names(cloud))
        checks.record("snp-chip", known, " or ".join(section.vlek_clouds), cloud)
    elif leaf.amd.hwid is None:
        checks.not_applicable(
            "snp-chip", f"the policy names no cloud for a VLEK ({leaf.amd.csp_id}), which is for no chip"
        )
    else:
        chip = report.chip(line)
        checks.judge("snp-chip", leaf.amd.hwid == chip, leaf.amd.hwid.hex(), chip.hex(), CERTIFIED_ELSEWHERE)
    reported = report.tcb_versions(line)["reported"]
    checks.record("snp-certificate-tcb", leaf.amd.tcb == reported, str(leaf.amd.tcb), str(reported))


def _signed(report: SnpReport, leaf: EndorsementCertificate, known: Signers[bool]) -> bool:
    """The digest is over everything before the signature."""
    return known.ask(leaf.spki, lambda: is_signed_with(leaf.key, report.signature_r, report.signature_s, report.signed))


def is_signed_with(key: ec.EllipticCurvePublicKey, r: int, s: int, data: bytes) -> bool:
    """Return whether the P-384 ``key`` made the signature ``r``, ``s`` over ``data``, with SHA-384."""
    try:
        key.verify(utils.encode_dss_signature(r, s), data, _SHA384)
    except (InvalidSignature, ValueError):
        return False
    return True


def _valid(signed: bool) -> str:
    return "valid" if signed else "not valid"


def _claims(
    report: SnpReport, leaf: EndorsementCertificate | None, line: ProductLine | None, listed: str
) -> dict[str, str]:
    claims = {
        "product": line or "unknown",
        "chip_id": (report.chip(line) if line else report.chip_id).hex(),
        "signing_key": report.signing_key.name,
        "launch_digest": report.measurement.hex(),
        "firmware": ".".join(map(str, report.current_firmware)),
        "guest_svn": str(report.guest_svn),
        "crl": listed or "none",
    }
    if line is not None:
        claims |= {f"tcb_{name}": str(version) for name, version in report.tcb_versions(line).items()}
    if leaf is not None:
        claims["signing_key_product"] = leaf.amd.product_name
        if leaf.amd.csp_id is not None:
            claims["cloud"] = leaf.amd.csp_id
    return claims
