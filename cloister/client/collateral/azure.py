"""What Azure's hosts tell the machines that run on them: the chip's certificate (Trusted Hardware Identity Management).

The address is link-local: it answers inside of an Azure VM only, where the agent asks it. Source: Microsoft Learn,
Trusted Hardware Identity Management, "How do I request collateral in a Confidential Virtual Machine?".
"""

import json

from cloister.attestation.collateral_source import CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import content
from cloister.client.collateral.service import Question
from cloister.client.collateral.transport import Answer

SERVICE = "http://169.254.169.254"

_LIMIT = 64 * 1024


def question(*, service: str = SERVICE) -> Question:
    """The VCEK of this machine's chip and TCB, and its chain."""
    return Question(
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
    if not all(isinstance(text, str) for text in texts):
        raise MalformedEvidence(what, 0, "has members that are not text")
    return tuple(item for text in texts for item in content.certificates(text.encode(), what))
