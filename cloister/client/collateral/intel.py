"""Intel's provisioning certification service, version 4, and services with the same interface (a PCCS, Azure's cache).

Source: Intel TDX and SGX Provisioning Certification Service API, version 4: Get TDX TCB Info, Get TDX QE Identity,
Get Revocation List; the root certificate names the address of the root's revocation list.
"""

import re
import urllib.parse
from collections.abc import Sequence

from cloister.attestation.collateral_source import CRL, QE_IDENTITY, TCB_INFO, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.client.collateral.request import CollateralRequest, Reading
from cloister.client.collateral.transport import Answer

SERVICE = "https://api.trustedservices.intel.com"
AZURE_CACHE = "https://global.acccache.azure.net"
"""Azure's Trusted Hardware Identity Management, a cache of the same answers, often older ones."""
ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

AUTHORITIES = ("platform", "processor")
"""Intel's two issuers of PCK certificates."""

_TDX = "/tdx/certification/v4"
_DOCUMENT = 128 * 1024
_LIST = 256 * 1024
_FMSPC = re.compile(r"[0-9a-f]{12}")


def requests(
    fmspc: str, authority: str, *, service: str = SERVICE, root_crl: str = ROOT_CRL
) -> tuple[CollateralRequest, ...]:
    """All collateral for a quote of a platform with ``fmspc`` (12 hex digits), certified by ``authority``.

    Raises ValueError for values that no platform has.
    """
    if not _FMSPC.fullmatch(fmspc) or authority not in AUTHORITIES:
        raise ValueError(
            f"The FMSPC must be 12 hex digits and the authority one of {AUTHORITIES}, not {fmspc!r}, {authority!r}."
        )
    tcb_info = CollateralRequest(
        TCB_INFO,
        f"the TCB info of the platforms {fmspc}",
        f"{service}{_TDX}/tcb?fmspc={fmspc}",
        _signed(TCB_INFO, "tcb-info-issuer-chain"),
        _DOCUMENT,
    )
    return (tcb_info, *general_requests((authority,), service=service, root_crl=root_crl))


def general_requests(
    authorities: Sequence[str] = AUTHORITIES, *, service: str = SERVICE, root_crl: str = ROOT_CRL
) -> tuple[CollateralRequest, ...]:
    """What is the same for all platforms that one of ``authorities`` certified."""
    lists = [
        CollateralRequest(
            CRL,
            f"the revocation list of Intel's {authority} CA",
            f"{service}/sgx/certification/v4/pckcrl?ca={authority}&encoding=der",
            _revocations("sgx-pck-crl-issuer-chain"),
            _LIST,
        )
        for authority in authorities
    ]
    return (
        CollateralRequest(
            QE_IDENTITY,
            "the identity of the quoting enclave",
            f"{service}{_TDX}/qe/identity",
            _signed(QE_IDENTITY, "sgx-enclave-identity-issuer-chain"),
            _DOCUMENT,
        ),
        *lists,
        CollateralRequest(CRL, "the revocation list of Intel's root", root_crl, _revocations(None), _LIST),
    )


def _signed(kind: str, chain: str) -> Reading:
    def read(answer: Answer) -> tuple[CollateralItem, ...]:
        return (CollateralItem(kind, answer.body), *_chain(answer, chain))

    return read


def _revocations(chain: str | None) -> Reading:
    def read(answer: Answer) -> tuple[CollateralItem, ...]:
        return (CollateralItem(CRL, answer.body), *(_chain(answer, chain) if chain else ()))

    return read


def _chain(answer: Answer, header: str) -> tuple[CollateralItem, ...]:
    """The issuer chain, percent-encoded in a header field."""
    text = answer.headers.get(header)
    if text is None:
        raise MalformedEvidence(header, 0, "is missing from the answer")
    return content.certificates(urllib.parse.unquote(text).encode(), header)
