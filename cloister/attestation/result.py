"""The verdict: what was checked, what was found, and whether the machine is to be trusted.

It is data, and anybody can compute it again. ``accepted`` is true only when every check was made and none failed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cloister.attestation.checks import CHECKS
from cloister.attestation.collateral.usable import Skipped
from cloister.attestation.errors import AttestationError
from cloister.errors import ProofError
from cloister.protocol import canonical
from cloister.protocol.bootconfig import BootConfiguration

NONE_NAMED = "one that the policy names, and it names none"
"""What is expected of a machine by a list that is empty: nothing can be that."""

_NAMED = 6


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Check:
    """One check, as text for people and programs. ``reason`` says why a check does not apply, else it is empty."""

    name: str
    outcome: Outcome
    expected: str
    found: str
    reason: str = ""

    def value(self) -> dict[str, Any]:
        """The JSON value; an empty reason is left out."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "expected": self.expected,
            "found": self.found,
            **({"reason": self.reason} if self.reason else {}),
        }

    def sentence(self) -> str:
        """What a person needs to know: expected, found, and what to do."""
        info = CHECKS[self.name]
        if self.outcome is Outcome.FAILED:
            return f"{info.subject}: expected {self.expected}, found {self.found}. {info.advice}"
        if self.outcome is Outcome.PASSED:
            return f"{info.subject}: as expected, {self.found}."
        return f"{info.subject}: not judged, {self.reason}."


def named(failures: Sequence[Check]) -> str:
    """The names of failed checks for the end of a sentence: ``pcr-4, pcr-9 and 3 more failed``."""
    names = ", ".join(check.name for check in failures[:_NAMED])
    more = len(failures) - _NAMED
    return f"{names} and {more} more failed" if more > 0 else f"{names} failed"


@dataclass(frozen=True)
class Claims:
    """What the evidence says of the machine; worth something only in an accepted verdict.

    Digests are SHA-256, ``pcrs`` the values of PCR 0 to 15, ``image`` the flavor and manifest digest of the reference
    image that matched, ``event_log_key`` a SubjectPublicKeyInfo. ``identity`` says who vouches: names and fingerprints.
    """

    boot_configuration: BootConfiguration
    boot_configuration_digest: bytes
    event_log_key: bytes
    manifest_digest: bytes | None
    pcrs: Mapping[int, bytes]
    image: tuple[str, bytes] | None
    identity: Mapping[str, str]

    def value(self) -> dict[str, Any]:
        """The JSON value; what is absent is left out."""
        configuration = self.boot_configuration
        value: dict[str, Any] = {
            "boot_configuration": {
                "workspace": configuration.workspace,
                "cvm": configuration.cvm,
                "owners": list(configuration.owners),
                "digest": self.boot_configuration_digest.hex(),
            },
            "event_log_key": canonical.to_base64(self.event_log_key),
            "pcrs": {str(index): digest.hex() for index, digest in self.pcrs.items()},
            "identity": dict(self.identity),
        }
        if self.manifest_digest is not None:
            value["manifest_digest"] = self.manifest_digest.hex()
        if self.image is not None:
            flavor, digest = self.image
            value["image"] = {"flavor": flavor, "manifest_digest": digest.hex()}
        return value


@dataclass(frozen=True)
class Verdict:
    """The judgement of one piece of evidence against one policy (``policy``: its digest) as of the time ``at``.

    ``confidential``: it is shown that nobody but the image reads the machine's memory; never when a check failed.
    ``recording``: it was judged for no session and no receipt, so it says nothing of who is at the other end.
    ``skipped`` is collateral that had no say.
    """

    platform: str
    identity_root: str
    confidential: bool
    at: datetime
    policy: bytes
    checks: tuple[Check, ...]
    claims: Claims
    recording: bool = False
    skipped: tuple[Skipped, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Check, ...]:
        """The failed checks, all of them."""
        return tuple(check for check in self.checks if check.outcome is Outcome.FAILED)

    def require_accepted(self) -> None:
        """Raises ProofError with every failure, and last their names, when the verdict is not accepted, and for a
        recording in any case.
        """
        if self.recording:
            raise ProofError("The evidence was judged as a recording: that opens no session and proves no receipt.")
        if not self.accepted:
            sentences = "\n".join(check.sentence() for check in self.failures)
            raise ProofError(sentences, hint=f"The machine is rejected: {named(self.failures)}.")

    def value(self) -> dict[str, Any]:
        """The JSON value, as published in docs/schemas/verdict.schema.json.

        A recording is ``genuine`` or not and has no ``accepted``: whoever reads only that must not be misled.
        """
        return {
            "version": 1,
            "platform": self.platform,
            "identity_root": self.identity_root,
            "confidential": self.confidential,
            "at": canonical.to_time(self.at),
            "policy": self.policy.hex(),
            **({"recording": True, "genuine": self.accepted} if self.recording else {"accepted": self.accepted}),
            "checks": [check.value() for check in self.checks],
            "claims": self.claims.value(),
            **({"skipped": [one.value() for one in self.skipped]} if self.skipped else {}),
        }

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self.value())


class Recorder:
    """Collects checks while they are made: each of ``names`` once, and no other."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._checks: dict[str, Check] = {}

    def record(self, name: str, passed: bool, expected: str, found: str) -> bool:
        """A check that was made. Returns ``passed``."""
        self._add(Check(name, Outcome.PASSED if passed else Outcome.FAILED, expected, found))
        return passed

    def equal(self, name: str, expected: bytes, found: bytes) -> bool:
        """A check that two byte strings are the same, shown in hex."""
        return self.record(name, expected == found, expected.hex(), found.hex())

    def one_of(self, name: str, allowed: Collection[bytes], found: bytes) -> bool:
        """A check that a byte string is one of those that the policy names, shown in hex. Naming none rejects."""
        wanted = " or ".join(one.hex() for one in allowed) or NONE_NAMED
        return self.record(name, found in allowed, wanted, found.hex())

    def not_applicable(self, name: str, reason: str, found: str = "") -> None:
        """A check that has nothing to judge; ``reason`` is a clause."""
        self._add(Check(name, Outcome.NOT_APPLICABLE, "", found, reason))

    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed so far."""
        return tuple(check.name for check in self._checks.values() if check.outcome is Outcome.FAILED)

    def finish(self) -> tuple[Check, ...]:
        """All checks in their order. Those that an earlier failure made impossible are said to be so.

        A check that is missing although nothing failed would be a check that was forgotten: that raises.
        """
        failed = self.failed()
        missing = [name for name in self._names if name not in self._checks]
        if missing and not failed:
            raise AttestationError(f"The checks {', '.join(missing)} were not made: the evidence is not accepted.")
        for name in missing:
            self.not_applicable(name, f"it cannot be judged after {failed[0]} failed")
        return tuple(self._checks[name] for name in self._names)

    def _add(self, check: Check) -> None:
        if check.name in self._checks or check.name not in self._names:
            raise AttestationError(f"The check {check.name} was recorded twice or is unknown: nothing is accepted.")
        self._checks[check.name] = check
