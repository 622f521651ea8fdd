"""Intel's provisioning certification service, version 4, and services with the same interface (a PCCS, Azure's cache).

Source: Intel TDX and SGX Provisioning Certification Service API, version 4: Get TDX TCB Info, Get TDX QE Identity,
Get Revocation List; the root's revocation list is where the root certificate says.
"""

import re
import urllib.parse

from cloister.attestation.collateral_source import CRL, QE_IDENTITY, TCB_INFO, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.client.collateral.service import Question, Reading
from cloister.client.collateral.transport import Answer

SERVICE = "https://api.trustedservices.intel.com"
AZURE_CACHE = "https://global.acccache.azure.net"
"""Azure's Trusted Hardware Identity Management keeps the same answers, often older ones."""
ROOT_CRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"

AUTHORITIES = ("platform", "processor")
"""Intel's two issuers of PCK certificates."""

_DOCUMENT = 128 * 1024
_LIST = 256 * 1024
_FMSPC = re.compile(r"[0-9a-f]{12}")


def questions(fmspc: str, authority: str, *, service: str = SERVICE, root_crl: str = ROOT_CRL) -> tuple[Question, ...]:
    """All that a quote of a platform with ``fmspc`` (12 hex digits), certified by ``authority``, is judged with.

    Raises ValueError for values that no platform has.
    """
    if not _FMSPC.fullmatch(fmspc) or authority not in AUTHORITIES:
        raise ValueError(f"{fmspc!r} is no FMSPC, or {authority!r} no authority.")
    tdx = f"{service}/tdx/certification/v4"
    return (
        Question(
            f"the TCB info of the platforms {fmspc}",
            f"{tdx}/tcb?fmspc={fmspc}",
            _signed(TCB_INFO, "tcb-info-issuer-chain"),
            _DOCUMENT,
        ),
        Question(
            "the identity of the quoting enclave",
            f"{tdx}/qe/identity",
            _signed(QE_IDENTITY, "sgx-enclave-identity-issuer-chain"),
            _DOCUMENT,
        ),
        Question(
            f"the revocation list of Intel's {authority} CA",
            f"{service}/sgx/certification/v4/pckcrl?ca={authority}&encoding=der",
            _revocations("sgx-pck-crl-issuer-chain"),
            _LIST,
        ),
        Question("the revocation list of Intel's root", root_crl, _revocations(None), _LIST),
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
    """The issuer chain, which comes percent-encoded in a header field."""
    text = answer.headers.get(header)
    if text is None:
        raise MalformedEvidence(header, 0, "is missing in the answer")
    return content.certificates(urllib.parse.unquote(text).encode(), header)
