"""The requests to the vendors' services that a piece of evidence needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cloister.attestation.azure.hcl import TYPE_SNP, HclReport
from cloister.attestation.collateral_source import CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence, Platform
from cloister.attestation.raw.kinds import Raw, RawHcl, RawSnp, RawTdx
from cloister.attestation.raw.tpm import RawTpm
from cloister.attestation.snp.certificates import EndorsementCertificate, is_endorsement
from cloister.attestation.snp.products import ProductLine
from cloister.attestation.snp.report import SigningKey, SnpReport
from cloister.attestation.tdx.certificates import Pck
from cloister.attestation.tdx.quote import TdxQuote
from cloister.attestation.x509.certificate import Certificate
from cloister.client.collateral import amd, google, intel
from cloister.client.collateral.request import CollateralRequest

# A report of version 2 does not name its processor: request the certificates of each product line that it may be.
_OF_VERSION_2 = (ProductLine.MILAN, ProductLine.GENOA)


@dataclass(frozen=True)
class Services:
    """Base addresses of the vendors' services, or of others with the same interface.

    keys: AMD's key distribution service.
    certification: Intel's provisioning certification service.
    root_crl: the revocation list of Intel's root.
    bucket: Google's storage.
    """

    keys: str = amd.SERVICE
    certification: str = intel.SERVICE
    root_crl: str = intel.ROOT_CRL
    bucket: str = google.SERVICE


def general_requests(services: Services | None = None) -> tuple[CollateralRequest, ...]:
    """Requests for what is the same for every machine: AMD's and Intel's revocation lists, AMD's issuers, Intel's
    identity of the quoting enclave.
    """
    asked = services or Services()
    found: list[CollateralRequest] = []
    for line in ProductLine:
        for vlek in (False, True):
            found.append(amd.chain_request(line, vlek=vlek, service=asked.keys))
            found.append(amd.crl_request(line, vlek=vlek, service=asked.keys))
    found += intel.general_requests(service=asked.certification, root_crl=asked.root_crl)
    return tuple(found)


def requests_for(
    given: Evidence | Raw, certificates: tuple[bytes, ...] = (), services: Services | None = None
) -> tuple[CollateralRequest, ...]:
    """Requests for all collateral that the evidence needs and may lack. Raises MalformedEvidence.

    ``certificates`` are those that came with it: the VCEK of its report is not requested if it is among them.
    Malformed ones are ignored here; the verdict names them.
    """
    asked = services or Services()
    snp, quote = _parts(given)
    found: list[CollateralRequest] = []
    if snp is not None:
        found += _amd(SnpReport.parse(snp), certificates, asked.keys)
    if quote is not None:
        found += _intel(TdxQuote.parse(quote), asked)
    if isinstance(given, Evidence) and given.launch_endorsement is None:
        if given.platform is Platform.GCP_SNP and snp is not None:
            found.append(google.endorsement_request("sevsnp", SnpReport.parse(snp).measurement, service=asked.bucket))
        if given.platform is Platform.GCP_TDX and quote is not None:
            found.append(google.endorsement_request("tdx", TdxQuote.parse(quote).report.mr_td, service=asked.bucket))
    if isinstance(given, Evidence) and given.platform is Platform.GCP_SNP and given.ak_certificates:
        found += google.issuer_requests(given.ak_certificates[-1], service=asked.bucket)
    tpm = given if isinstance(given, RawTpm) else given.tpm if isinstance(given, RawSnp | RawTdx) else None
    if tpm is not None and tpm.certificates:
        found += google.issuer_requests(tpm.certificates[-1], service=asked.bucket)
    return tuple(found)


def _parts(given: Evidence | Raw) -> tuple[bytes | None, bytes | None]:
    """The SEV-SNP report and the TDX quote, each None when absent."""
    if isinstance(given, RawSnp):
        return given.report, None
    if isinstance(given, Evidence):
        report, hcl, quote = given.snp_report, given.hcl_report, given.tdx_quote
    elif isinstance(given, RawHcl):
        report, hcl, quote = None, given.report, given.tdx_quote
    elif isinstance(given, RawTdx):
        return None, given.quote
    else:  # a TPM's quote or a log, which need nothing of these services
        return None, None
    if hcl is not None:
        parsed = HclReport.parse(hcl, recorded=isinstance(given, RawHcl))
        report = parsed.hardware_report if parsed.report_type == TYPE_SNP else report
    return report, quote


def _amd(report: SnpReport, certificates: tuple[bytes, ...], service: str) -> list[CollateralRequest]:
    leaves = list(_endorsements(certificates))
    vlek = report.signing_key is SigningKey.VLEK
    known = report.product_line or next((leaf.amd.product_line for leaf in leaves), None)
    lines = (known,) if known else _OF_VERSION_2
    found: list[CollateralRequest] = []
    for line in lines:
        issued = _issuer_known(line, vlek, certificates, leaves)
        own = report.chip(line), report.tcb_versions(line)["reported"]
        if not vlek and own not in [(leaf.amd.hwid, leaf.amd.tcb) for leaf in leaves]:
            request = amd.vcek_request(line, *own, service=service)
            follow = _chain_if_needed(line, certificates, service)
            found.append(replace(request, then=follow) if issued else request)
        if not issued:
            found.append(amd.chain_request(line, vlek=vlek, service=service))
        found.append(amd.crl_request(line, vlek=vlek, service=service))
    return found


def _chain_if_needed(
    line: ProductLine, certificates: tuple[bytes, ...], service: str
) -> Callable[[tuple[CollateralItem, ...]], tuple[CollateralRequest, ...]]:
    """What follows the answer with a VCEK: the request for its issuers, if those at hand did not issue it."""

    def then(items: tuple[CollateralItem, ...]) -> tuple[CollateralRequest, ...]:
        leaves = list(_endorsements(tuple(item.content for item in items)))
        known = _issuer_known(line, False, certificates, leaves)
        return () if known else (amd.chain_request(line, service=service),)

    return then


def _issuer_known(
    line: ProductLine, vlek: bool, certificates: tuple[bytes, ...], leaves: list[EndorsementCertificate]
) -> bool:
    """Whether the issuer of a line's keys is at hand, and issued those of ``leaves`` that it should have.

    AMD's service answers few requests a minute: what comes with the package is not requested. Without a leaf at hand,
    the leaf's request is followed by one for its issuers if need be.
    """
    name = f"SEV-VLEK-{line}" if vlek else f"SEV-{line}"
    issuers = [one for one in _issuers(certificates) if one.common_name == name]
    mine = [leaf for leaf in leaves if leaf.issuer_name == name]
    return bool(issuers) and all(any(leaf.signed_by(one) for one in issuers) for leaf in mine)


def _issuers(certificates: tuple[bytes, ...]) -> Iterator[Certificate]:
    for der in certificates:
        try:
            if not is_endorsement(der):
                yield Certificate.parse(der)
        except MalformedEvidence:
            continue


def _endorsements(certificates: tuple[bytes, ...]) -> Iterator[EndorsementCertificate]:
    for der in certificates:
        try:
            if is_endorsement(der):
                yield EndorsementCertificate.parse(der)
        except MalformedEvidence:
            continue


def _intel(quote: TdxQuote, services: Services) -> tuple[CollateralRequest, ...]:
    leaf = Certificate.parse(quote.pck_chain[0], "PCK certificate")
    issuer = Certificate.parse(quote.pck_chain[1], "PCK issuer") if len(quote.pck_chain) > 1 else None
    name = issuer.common_name.lower() if issuer else ""
    authority = next((one for one in intel.AUTHORITIES if one in name), intel.AUTHORITIES[0])
    fmspc = Pck.parse(leaf).fmspc.hex()
    return intel.requests(fmspc, authority, service=services.certification, root_crl=services.root_crl)
