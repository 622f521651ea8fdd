"""JSON of Azure's confidential containers and clean rooms: a SEV-SNP report with AMD's certificates.

Source: microsoft/confidential-sidecar-containers, internal/httpginendpoints (CombinedAttestationData),
pkg/attest/platform_cert_fetcher.go (what the host's certificate service answers) and maa.go (the request to Azure
Attestation). The endorsements of the utility VM name its measurement; they are ignored here like every claim.
"""

from cloister.client.collateral import content
from cloister.client.evidence.evidence_files import binary, encoding
from cloister.client.evidence.evidence_files.members import WrapperMembers
from cloister.client.evidence.evidence_files.parts import Parts

_LIMIT = 64 * 1024


def add_combined(parts: Parts, found: WrapperMembers) -> None:
    """``evidence`` is the report, ``endorsements`` a PEM chain; both in base64."""
    found.only("evidence", "endorsements", "uvm_endorsements", "endorsed_tcb")
    binary.add(parts, found.binary("evidence"), found.source, only=(binary.REPORT,))
    if chain := found.optional("endorsements", _LIMIT):
        parts.items += content.certificates(chain, "endorsements")


def add_request(parts: Parts, found: WrapperMembers) -> None:
    """The request to Azure Attestation, decoded once: ``VcekCertChain`` is a PEM chain in base64."""
    found.only("SnpReport", "VcekCertChain", "Endorsements")
    binary.add(parts, found.binary("SnpReport"), found.source, only=(binary.REPORT,))
    if chain := found.optional("VcekCertChain", _LIMIT):
        parts.items += content.certificates(chain, "VcekCertChain")


def add_certificates(parts: Parts, found: WrapperMembers) -> None:
    """What the host's certificate service answers: PEM as text."""
    found.only("vcekCert", "certificateChain", "tcbm", "cacheControl")
    for name in ("vcekCert", "certificateChain"):
        if name in found:
            parts.items += content.certificates(found.text(name).encode(), name)


def add_raw(parts: Parts, found: WrapperMembers) -> None:
    """The report alone, in hex."""
    found.only("report")
    binary.add(parts, encoding.from_text(found.text("report"), "The member 'report'"), found.source,
               only=(binary.REPORT,))  # fmt: skip
