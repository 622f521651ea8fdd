"""Google's signed endorsements of its firmware, in a public bucket by the launch measurement.

Source: google/gce-tcb-verifier, gcetcbendorsement/README.md: gs://gce_tcb_integrity/ovmf_x64_csm/.
"""

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import CollateralItem
from cloister.client.collateral import content
from cloister.client.collateral.service import Question
from cloister.client.collateral.transport import Answer

SERVICE = "https://storage.googleapis.com"
TECHNOLOGIES = ("sevsnp", "tdx")

_SIZE = 48
_LIMIT = 64 * 1024


def question(technology: str, measurement: bytes, *, service: str = SERVICE) -> Question:
    """The endorsement of a launch digest or MRTD (48 bytes). Raises ValueError for anything else."""
    if technology not in TECHNOLOGIES or len(measurement) != _SIZE:
        raise ValueError(f"{technology!r} is none of {TECHNOLOGIES}, or the measurement has not {_SIZE} bytes.")
    name = measurement.hex()
    return Question(
        f"Google's endorsement of {name[:16]}...",
        f"{service}/gce_tcb_integrity/ovmf_x64_csm/{technology}/{name}.binarypb",
        lambda answer: (_endorsement(answer),),
        _LIMIT,
        lasting=True,
    )


def _endorsement(answer: Answer) -> CollateralItem:
    # VMLaunchEndorsement begins with its field 1, bytes: an error page of a proxy does not.
    if not answer.body.startswith(b"\x0a"):
        raise MalformedEvidence("endorsement", 0, "is not a VMLaunchEndorsement")
    return content.endorsement(answer.body)
