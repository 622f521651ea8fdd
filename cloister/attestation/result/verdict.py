"""The verdict: what was checked, what was found, and whether the machine is accepted.

A verdict is data that anyone can compute again. ``accepted`` is true only when every check was made and none failed.

Long because a check, the verdict and the recorder that makes one from the other are used together everywhere.
"""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cloister.attestation.errors import AttestationError
from cloister.attestation.result.cause import Cause
from cloister.attestation.result.checkinfo import CheckInfo, Failure
from cloister.attestation.result.collateral_use import Skipped, Used
from cloister.attestation.result.outcomes import Check, CheckOutcome, failed_names, sentences
from cloister.errors import ProofError
from cloister.protocol import canonical, text
from cloister.protocol.bootconfig import BootConfiguration

NONE_NAMED = "one that the policy names, and it names none"
"""The expected value of a check against an empty list of the policy: no value passes."""


@dataclass(frozen=True)
class Claims:
    """What the evidence says about the machine. Only the claims of an accepted verdict can be relied on.

    boot_configuration: workspace, machine name, owners and scratch disk that the machine was started with.
    boot_configuration_digest: SHA-256 of its measured bytes.
    event_log_key: SubjectPublicKeyInfo (DER) of the agent's event-log key.
    manifest_digest: SHA-256 of the computation manifest; None before one is submitted.
    pcrs: PCR 0 to 15 by index; empty on a platform without a vTPM.
    image: flavor and manifest digest of the reference image that matched; None if none did.
    identity: who vouches for the machine: names, fingerprints, versions.
    """

    boot_configuration: BootConfiguration
    boot_configuration_digest: bytes
    event_log_key: bytes
    manifest_digest: bytes | None
    pcrs: Mapping[int, bytes]
    image: tuple[str, bytes] | None
    identity: Mapping[str, str]

    def value(self) -> dict[str, Any]:
        """The JSON value; what is absent is omitted."""
        configuration = self.boot_configuration
        value: dict[str, Any] = {
            "boot_configuration": {
                "workspace": configuration.workspace,
                "cvm": configuration.cvm,
                "owners": list(configuration.owners),
                "digest": self.boot_configuration_digest.hex(),
                **({"scratch": configuration.scratch} if configuration.scratch else {}),
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


@dataclass(frozen=True, repr=False)
class Verdict:
    """The attestation result (RFC 9334): one piece of evidence appraised under one policy.

    platform: the platform that the evidence names.
    identity_root: who vouches for the machine's identity (``x509/roots.py``); ``none`` unless that is shown
        (``checks.VOUCHED_BY``), ``simulated`` for anchors of a test kit.
    confidential: it is shown that only the image can read the machine's memory; false whenever a check failed.
    at: the time of the appraisal, in UTC.
    policy: SHA-256 of the policy's canonical form.
    checks: every check of the platform, in order.
    claims: what the evidence says about the machine.
    recording: it was appraised for no session and no receipt, so it does not show who is at the other end.
    skipped: collateral that was ignored; may be empty.
    used: collateral that the checks relied on; may be empty.
    causes: likely causes of failed checks (``diagnosis``); they explain and decide nothing.
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
    used: tuple[Used, ...] = ()
    causes: tuple[Cause, ...] = ()

    def __repr__(self) -> str:
        passed = sum(check.outcome is CheckOutcome.PASSED for check in self.checks)
        kind = "confidential" if self.confidential else "not confidential"
        decision = failed_names(self.failures) if self.failures else "genuine" if self.recording else "accepted"
        return text.printable(f"<Verdict on {self.platform}: {decision}; {passed} checks passed; {kind}>")

    @property
    def accepted(self) -> bool:
        """Whether no check failed."""
        return not self.failures

    @functools.cached_property
    def failures(self) -> tuple[Check, ...]:
        """All failed checks, in order."""
        return tuple(check for check in self.checks if check.outcome is CheckOutcome.FAILED)

    def require_accepted(self) -> None:
        """Raises ProofError, with a sentence for every failure, unless the verdict is accepted. Always raises for a
        recording.
        """
        if self.recording:
            raise ProofError("The evidence was appraised as a recording, which opens no session and proves no receipt.")
        self.require_genuine()

    def require_genuine(self) -> None:
        """Raises ProofError, with a sentence for every failure, if a check failed. Of a recording, that is all that can
        be required.
        """
        if self.failures:
            said = "\n".join(sentences(self.failures))
            raise ProofError(said, hint=f"The machine is rejected: {failed_names(self.failures)}.")

    def value(self) -> dict[str, Any]:
        """The JSON value, as published in docs/schemas/verdict.schema.json.

        A recording is ``genuine`` or not and has no ``accepted``, so that no reader mistakes it for an acceptance.
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
            **({"used": [one.value() for one in self.used]} if self.used else {}),
            **({"diagnosis": [one.value() for one in self.causes]} if self.causes else {}),
        }

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self.value())


@dataclass(frozen=True)
class Recorded:
    """What one part of an appraisal recorded: its checks by name, the collateral that they relied on, its result."""

    checks: Mapping[str, Check]
    used: tuple[Any, ...]
    result: Any


class Recorder:
    """Collects the checks of one verdict while they are made: each of ``names`` once, and no others.

    ``catalogue`` describes every check (``checks.CHECKS``).
    """

    def __init__(self, names: Sequence[str], catalogue: Mapping[str, CheckInfo]) -> None:
        self._catalogue = catalogue
        self._checks: dict[str, Check | None] = dict.fromkeys(names)
        self.used: list[Any] = []
        """The parsed collateral that the checks relied on, in the order of its use."""

    def use(self, *collateral: object) -> None:
        """Notes parsed collateral that a check relies on, each once."""
        self.used += [one for one in collateral if not any(one is known for known in self.used)]

    def part(self, make: Callable[[], Any]) -> Recorded:
        """Calls ``make``, and returns what it recorded, to be repeated in another verdict with the same inputs."""
        before = {name for name, check in self._checks.items() if check is not None}
        outer, self.used = self.used, []
        try:
            result = make()
        finally:
            inner, self.used = self.used, outer
            self.use(*inner)
        made = {name: check for name, check in self._checks.items() if check is not None and name not in before}
        return Recorded(made, tuple(inner), result)

    def repeat(self, part: Recorded) -> None:
        """Records the checks of ``part``, which another recorder with the same catalogue made."""
        names = part.checks.keys()
        if not names <= self._checks.keys() or any(map(self._checks.get, names)):
            listed = ", ".join(names)
            raise AttestationError(f"One of {listed} was recorded twice or is unknown: nothing is accepted.")
        self._checks.update(part.checks)
        self.use(*part.used)

    @property
    def catalogue(self) -> Mapping[str, CheckInfo]:
        """The descriptions of the checks."""
        return self._catalogue

    def record(self, name: str, passed: bool, expected: str, found: str) -> bool:
        """Records a check that was made. Returns ``passed``."""
        self._add(name, _PASSED if passed else _FAILED, expected, found)
        return passed

    def judge(self, name: str, passed: bool, expected: str, found: str, failure: Failure | None) -> bool:
        """Records a check that was made; ``failure`` is how it fails, None for the way of its CheckInfo."""
        if passed or failure is None:
            return self.record(name, passed, expected, found)
        return self.fail(name, expected, found, failure)

    def fail(self, name: str, expected: str, found: str, failure: Failure) -> bool:
        """Records a check that failed in one of the ``others`` ways of its CheckInfo. Returns False."""
        self._add(name, CheckOutcome.FAILED, expected, found, failure=failure)
        return False

    def equal(self, name: str, expected: bytes, found: bytes) -> bool:
        """Records whether two byte strings are equal, shown in hex."""
        return self.record(name, expected == found, expected.hex(), found.hex())

    def one_of(self, name: str, allowed: Collection[bytes], found: bytes) -> bool:
        """Records whether a byte string is one of those that the policy names, shown in hex. An empty list rejects."""
        wanted = " or ".join(one.hex() for one in allowed) or NONE_NAMED
        return self.record(name, found in allowed, wanted, found.hex())

    def not_applicable(self, name: str, reason: str, found: str = "") -> None:
        """Records a check that has nothing to judge; ``reason`` is a clause."""
        self._add(name, _NOT_APPLICABLE, "", found, reason)

    def all_passed(self, names: Sequence[str]) -> bool:
        """Whether every check of ``names`` was made and passed; false without one."""
        made = [self._checks.get(name) for name in names]
        return bool(made) and all(check is not None and check.outcome is _PASSED for check in made)

    def failed(self) -> tuple[str, ...]:
        """The names of the checks that have failed so far."""
        return tuple(check.name for check in self._checks.values() if check is not None and check.outcome is _FAILED)

    def finish(self) -> tuple[Check, ...]:
        """All checks in their order. Those that an earlier failure made impossible are not applicable.

        Raises AttestationError for a check that is missing although none failed: it was forgotten.
        """
        missing = [name for name, check in self._checks.items() if check is None]
        if missing:
            failed = self.failed()
            if not failed:
                raise AttestationError(f"The checks {', '.join(missing)} were not made: the evidence is not accepted.")
            for name in missing:
                self.not_applicable(name, f"it cannot be checked after {failed[0]} failed")
        return tuple(check for check in self._checks.values() if check is not None)

    def _add(
        self,
        name: str,
        outcome: CheckOutcome,
        expected: str,
        found: str,
        reason: str = "",
        failure: Failure | None = None,
    ) -> None:
        if self._checks.get(name, _UNKNOWN) is not None:
            raise AttestationError(f"The check {name} was recorded twice or is unknown: nothing is accepted.")
        info = self._catalogue[name]
        if failure is not None and failure not in info.others:
            raise AttestationError(f"The check {name} has no such failure in its description: nothing is accepted.")
        if outcome is _FAILED and failure is None:
            failure = info.failure
            if failure is None:
                raise AttestationError(f"The check {name} has no failure in its description: nothing is accepted.")
        # A frozen dataclass sets its members one by one, and there are thirty of these in every appraisal.
        check = object.__new__(Check)
        check.__dict__.update(
            name=name,
            outcome=outcome,
            expected=expected,
            found=found,
            reason=reason,
            info=info,
            failure=failure,
        )
        self._checks[name] = check


_PASSED, _FAILED, _NOT_APPLICABLE = CheckOutcome
_UNKNOWN = Check("", _FAILED, "", "")
