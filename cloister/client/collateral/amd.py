"""AMD's key distribution service: the certificate of a chip's key at one TCB, its issuers, their revocation list.

Source: AMD publication 57230, "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification",
chapter 4. The service does not give out VLEKs: the cloud that runs the machine has them.
"""

import urllib.parse

from cloister.attestation.collateral_source import CERTIFICATE, CRL, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.certificates import EndorsementCertificate
from cloister.attestation.snp.products import CHIP_ID_SIZES, ProductLine, TcbVersion
from cloister.client.collateral import content
from cloister.client.collateral.request import CollateralRequest
from cloister.client.collateral.transport import Answer

SERVICE = "https://kdsintf.amd.com"

_CERTIFICATE = 16 * 1024
_CHAIN = 32 * 1024
_LIST = 256 * 1024
# KDS, section 4.1: the parameter of each component; ``fmc`` from Turin on.
_PARAMETERS = (
    ("fmcSPL", "fmc"),
    ("blSPL", "boot_loader"),
    ("teeSPL", "tee"),
    ("snpSPL", "snp"),
    ("ucodeSPL", "microcode"),
)


def vcek_request(line: ProductLine, chip_id: bytes, tcb: TcbVersion, *, service: str = SERVICE) -> CollateralRequest:
    """The VCEK of a chip at a TCB: a report's CHIP_ID (64 bytes) and REPORTED_TCB."""
    size = CHIP_ID_SIZES[line]
    levels = {parameter: getattr(tcb, name) for parameter, name in _PARAMETERS}
    query = urllib.parse.urlencode({name: f"{level:02}" for name, level in levels.items() if level is not None})
    chip = chip_id[:size].hex()
    return CollateralRequest(
        CERTIFICATE,
        f"the certificate of the chip {chip[:16]}...",
        f"{service}/vcek/v1/{line}/{chip}?{query}",
        lambda answer: (_leaf(answer, line, chip_id[:size], tcb),),
        _CERTIFICATE,
        lasting=True,
    )


def chain_request(line: ProductLine, *, vlek: bool = False, service: str = SERVICE) -> CollateralRequest:
    """The issuers of a line's VCEKs or VLEKs: ASK or ASVK, and ARK."""
    kind = "vlek" if vlek else "vcek"
    return CollateralRequest(
        CERTIFICATE,
        f"the issuers of {line}'s {kind.upper()}s",
        f"{service}/{kind}/v1/{line}/cert_chain",
        lambda answer: content.certificates(answer.body, f"{line}'s issuers"),
        _CHAIN,
        lasting=True,
    )


def crl_request(line: ProductLine, *, vlek: bool = False, service: str = SERVICE) -> CollateralRequest:
    """The revocation list of a line's ARK."""
    kind = "vlek" if vlek else "vcek"
    return CollateralRequest(
        CRL,
        f"the revocation list of {line}'s root",
        f"{service}/{kind}/v1/{line}/crl",
        lambda answer: (CollateralItem(CRL, answer.body),),
        _LIST,
    )


def _leaf(answer: Answer, line: ProductLine, chip: bytes, tcb: TcbVersion) -> CollateralItem:
    """The VCEK in the answer. The cache never expires it, so a wrong one must not get in."""
    leaf = EndorsementCertificate.parse(answer.body, "VCEK")
    if (leaf.amd.product_line, leaf.amd.hwid, leaf.amd.tcb) != (line, chip, tcb):
        raise MalformedEvidence("VCEK", 0, "is the certificate of another chip, or for another TCB")
    return CollateralItem(CERTIFICATE, answer.body)
