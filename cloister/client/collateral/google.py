"""Google's public buckets: signed endorsements of its firmware, and certificates of its authorities.

Source of the first: google/gce-tcb-verifier, gcetcbendorsement/README.md: gs://gce_tcb_integrity/ovmf_x64_csm/, by the
launch measurement. Of the second: Certificate Authority Service, "Authority information access": each authority has its
own bucket, which the certificates that it issued name.
"""

import re

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from cloister.attestation.collateral_source import CERTIFICATE, LAUNCH_ENDORSEMENT, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.x509.certificate import UNREADABLE, Certificate
from cloister.client.collateral import content
from cloister.client.collateral.request import CollateralRequest
from cloister.client.collateral.transport import Answer

SERVICE = "https://storage.googleapis.com"
TECHNOLOGIES = ("sevsnp", "tdx")

_SIZE = 48
_LIMIT = 64 * 1024
_AUTHORITY = re.compile(
    r"http://(privateca-content-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.storage\.googleapis\.com"
    r"(/[0-9a-f]{8,64}/ca\.crt)\Z"
)
_STEPS = 2
"""From a vTPM's certificate through the intermediate authority to the root."""


def endorsement_request(technology: str, measurement: bytes, *, service: str = SERVICE) -> CollateralRequest:
    """The endorsement of a launch digest or MRTD (48 bytes). Raises ValueError for anything else."""
    if technology not in TECHNOLOGIES or len(measurement) != _SIZE:
        raise ValueError(
            f"No endorsement of {technology!r} with {len(measurement)} bytes; expected {TECHNOLOGIES}, {_SIZE} bytes."
        )
    name = measurement.hex()
    return CollateralRequest(
        LAUNCH_ENDORSEMENT,
        f"Google's endorsement of {name[:16]}...",
        f"{service}/gce_tcb_integrity/ovmf_x64_csm/{technology}/{name}.binarypb",
        lambda answer: (_endorsement(answer),),
        _LIMIT,
        lasting=True,
    )


def issuer_requests(
    certificate: bytes, *, service: str = SERVICE, steps: int = _STEPS
) -> tuple[CollateralRequest, ...]:
    """The request for the certificate of the issuer of ``certificate`` (DER), followed by that of its own issuer.

    Empty when it does not name a bucket of Google's authorities: a machine's certificate comes from its host, which
    must not choose where a party sends requests.
    """
    found = _AUTHORITY.match(_named_issuer(certificate)) if steps > 0 else None
    if found is None:
        return ()

    def then(items: tuple[CollateralItem, ...]) -> tuple[CollateralRequest, ...]:
        return tuple(one for item in items for one in issuer_requests(item.content, service=service, steps=steps - 1))

    request = CollateralRequest(
        CERTIFICATE,
        "the certificate of Google's authority for vTPMs",
        f"{service}/{found[1]}{found[2]}",
        lambda answer: _certificates(answer.body),
        _LIMIT,
        lasting=True,
        then=then,
    )
    return (request,)


def _named_issuer(certificate: bytes) -> str:
    """The address of the issuer's certificate; "" when it is not given, or ``certificate`` is malformed."""
    try:
        extensions = Certificate.parse(certificate).parsed.extensions
        access = extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    except (*UNREADABLE, x509.ExtensionNotFound):
        return ""
    if not isinstance(access, x509.AuthorityInformationAccess):
        return ""
    for one in access:
        location = one.access_location
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS and isinstance(
            location, x509.UniformResourceIdentifier
        ):
            return location.value
    return ""


def _certificates(data: bytes) -> tuple[CollateralItem, ...]:
    what = "certificate of an authority"
    items = content.read(data, what)
    if any(item.kind != CERTIFICATE for item in items):
        raise MalformedEvidence(what, 0, "is not a certificate")
    return items


def _endorsement(answer: Answer) -> CollateralItem:
    # VMLaunchEndorsement begins with its field 1, bytes: an error page of a proxy does not.
    if not answer.body.startswith(b"\x0a"):
        raise MalformedEvidence("endorsement", 0, "is not a VMLaunchEndorsement")
    return content.endorsement(answer.body)
