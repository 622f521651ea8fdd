"""A policy of either kind."""

from cloister.attestation.policy import document
from cloister.attestation.policy.document import PolicyKind
from cloister.attestation.policy.evidence_policy import EvidencePolicy
from cloister.attestation.policy.policy import Policy

AnyPolicy = Policy | EvidencePolicy
"""A policy for sessions, or one for raw evidence."""


def parse_policy(data: bytes) -> AnyPolicy:
    """The policy in a document, JSON or YAML, of the type that its kind says. Raises FormatError or PolicyError."""
    kind, value = document.read(data)
    return EvidencePolicy.from_value(value) if kind is PolicyKind.EVIDENCE else Policy.from_value(value)
