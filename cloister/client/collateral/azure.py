"""The chip's certificate from an Azure host, for the VMs on it (Trusted Hardware Identity Management).

The address is link-local: it answers only inside an Azure VM, where the agent uses it. Source: Microsoft Learn,
Trusted Hardware Identity Management, "How do I request collateral in a Confidential Virtual Machine?".
"""

import json

from cloister.attestation.collateral_source import CERTIFICATE, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.client.collateral.request import CollateralRequest
from cloister.client.collateral.transport import Answer

SERVICE = "http://169.254.169.254"

_LIMIT = 64 * 1024


def certificate_request(*, service: str = SERVICE) -> CollateralRequest:
    """The VCEK of this machine's chip and TCB, and its chain."""
    return CollateralRequest(
        CERTIFICATE,
        "the certificate of this machine's chip",
        f"{service}/metadata/THIM/amd/certification",
        _read,
        _LIMIT,
        headers={"Metadata": "true"},
    )


def _read(answer: Answer) -> tuple[CollateralItem, ...]:
    what = "Azure's answer"
    try:
        value = json.loads(answer.body)
        texts = [value["vcekCert"], value["certificateChain"]]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise MalformedEvidence(what, 0, "is not the document with vcekCert and certificateChain") from error
    if not all(isinstance(text, str) and text.isascii() for text in texts):
        raise MalformedEvidence(what, 0, "has members that are not ASCII text")
    return tuple(item for text in texts for item in content.certificates(text.encode(), what))
