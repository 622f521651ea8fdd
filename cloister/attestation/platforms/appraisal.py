"""Arguments and result of every platform's appraisal, and the checks that every platform has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cloister.attestation.collateral.usable import UsableCollateral
from cloister.attestation.errors import PolicyError
from cloister.attestation.evidence import PARTS, Evidence
from cloister.attestation.instances import Instances
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Recorder
from cloister.attestation.x509.roots import NO_ROOT, SIMULATED, VENDORS, Anchor

_ALL_PARTS = ("tpm_quote", "ak_certificates", "boot_event_log", *PARTS)


@dataclass(frozen=True, kw_only=True)
class Appraisal:
    """What something is appraised by.

    checks: takes the outcome of every check.
    instances: the machines that the policy accepts; None accepts any.
    at: the time of the appraisal, in UTC.
    collateral: parsed collateral of evidence and caller.
    roots: the vendors' anchors.
    """

    checks: Recorder
    instances: Instances | None
    at: datetime
    collateral: UsableCollateral
    roots: tuple[Anchor, ...] = VENDORS

    def anchors(self, identity_root: str) -> tuple[Anchor, ...]:
        """The anchors of one vendor."""
        return tuple(anchor for anchor in self.roots if anchor.identity_root == identity_root)

    def shown_root(self, root: str, vouched_by: Sequence[str]) -> str:
        """The identity root that the verdict names: ``root`` if the checks ``vouched_by`` (``checks.VOUCHED_BY``) have
        passed. That an anchor was simulated is said in any case.
        """
        return root if root == SIMULATED or self.checks.all_passed(vouched_by) else NO_ROOT


@dataclass(frozen=True, kw_only=True)
class EvidenceAppraisal(Appraisal):
    """The appraisal of a whole piece of evidence under a party's policy."""

    evidence: Evidence
    policy: Policy


@dataclass(frozen=True)
class PlatformResult:
    """What a platform's appraisal found besides the outcomes of its checks.

    ``identity_root`` says who vouches for the machine, ``image`` is the reference image that it booted (None if no
    image matched), ``identity`` has names and fingerprints, ``pcrs`` are PCR 0 to 15 where the platform has a vTPM.
    """

    identity_root: str
    image: ImageReference | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    pcrs: tuple[bytes, ...] = ()


def in_utc(at: datetime) -> datetime:
    """The time of an appraisal, in UTC. Raises PolicyError if it has no time zone or is outside the years 1 to 9999."""
    if at.tzinfo is None:
        raise PolicyError("The time of the appraisal has no time zone.", hint="Write it as 2026-01-31T12:00:00Z.")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise PolicyError("The time of the appraisal is beyond the years 1 to 9999 in UTC.") from error


def check_parts(
    checks: Recorder, evidence: Evidence, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> bool:
    """Records ``parts``: the evidence has all of ``required``, and besides them only parts in ``optional``."""
    present = [name for name in _ALL_PARTS if getattr(evidence, name)]
    complete = set(required) <= set(present) <= {*required, *optional}
    wanted = ", ".join(required) + (f", and at most {', '.join(optional)} besides" if optional else "")
    return checks.record("parts", complete, wanted, ", ".join(present) or "none of them")


def check_debug(checks: Recorder, image: ImageReference | None, policy: Policy) -> ImageReference | None:
    """Records ``image-debug`` for the image that matched, None if no image did. Returns ``image``."""
    if image is None:
        checks.not_applicable("image-debug", "the machine has not booted an image that the policy names")
        return None
    found = f"{image.flavor}, {'a debug image' if image.debug else 'not a debug image'}"
    allowed = policy.allow_debug or not image.debug
    checks.record("image-debug", allowed, "any" if policy.allow_debug else "not a debug image", found)
    return image
