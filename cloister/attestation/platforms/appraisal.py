"""What the verifier hands to a platform's part of it, and what that part answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cloister.attestation.collateral.usable import Sources
from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Recorder
from cloister.attestation.roots import VENDORS, Anchor


@dataclass(frozen=True)
class Case:
    """One piece of evidence under one policy as of the time ``at``; outcomes go to ``checks``."""

    checks: Recorder
    evidence: Evidence
    policy: Policy
    at: datetime
    sources: Sources
    roots: tuple[Anchor, ...] = VENDORS

    def anchors(self, identity_root: str) -> tuple[Anchor, ...]:
        """The anchors of one vendor."""
        return tuple(anchor for anchor in self.roots if anchor.identity_root == identity_root)

    def items(self, kind: str) -> tuple[bytes, ...]:
        """All collateral of ``kind`` that can be read: what the evidence carries, then what the caller brings."""
        return self.sources.items(kind)


def moment(at: datetime) -> datetime:
    """The time to judge at, in UTC. Raises PolicyError for one without a zone, or beyond what a calendar has."""
    if at.tzinfo is None:
        raise PolicyError(
            "The time to judge the evidence at has no time zone.", hint="Write it as 2026-01-31T12:00:00Z."
        )
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise PolicyError("The time to judge the evidence at is beyond the years 1 to 9999 in UTC.") from error


@dataclass(frozen=True)
class Judgement:
    """What a platform's part found: who vouches, and which image the machine booted.

    ``pcrs`` are the values of PCR 0 to 15 where the platform has a vTPM; ``identity`` names and fingerprints.
    """

    identity_root: str
    image: ImageReference | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    pcrs: tuple[bytes, ...] = ()
