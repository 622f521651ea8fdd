"""The outcome of a check, and what to do about those that failed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cloister.attestation.result.checkinfo import CheckInfo, Failure, FailureKind

_MAX_NAMES = 6


class CheckOutcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Check:
    """One check of a verdict, as text for people and programs.

    name: which check; docs/attestation.md lists them all.
    outcome: how it ended.
    expected: what must hold; empty when the check does not apply.
    found: what the evidence has; may be empty when the check does not apply.
    reason: why the check does not apply; empty otherwise.
    info: what the check is about; None: ``sentence`` names the check only.
    failure: why a failed check failed and what to do; None for every other.
    """

    name: str
    outcome: CheckOutcome
    expected: str
    found: str
    reason: str = ""
    info: CheckInfo | None = field(default=None, compare=False, repr=False)
    failure: Failure | None = field(default=None, compare=False, repr=False)

    def value(self) -> dict[str, Any]:
        """The JSON value; what is absent is omitted."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "expected": self.expected,
            "found": self.found,
            **({"reason": self.reason} if self.reason else {}),
            **({"failure": self.failure.kind.value, "advice": self.failure.advice} if self.failure else {}),
        }

    def sentence(self, *, advised: bool = True) -> str:
        """The check for people: its subject, expected and found, and after a failure what to do if ``advised``."""
        subject = self.info.subject if self.info else self.name
        if self.outcome is CheckOutcome.FAILED:
            sentence = f"{subject}: expected {self.expected}, found {self.found}."
            return f"{sentence} {self.failure.advice}" if advised and self.failure else sentence
        if self.outcome is CheckOutcome.PASSED:
            return f"{subject}: as expected, {self.found}."
        return f"{subject}: not judged, {self.reason}."


def failed_names(failures: Sequence[Check]) -> str:
    """The names of failed checks for the end of a sentence: ``pcr-4, pcr-9 and 3 more failed``."""
    return f"{_shortened([check.name for check in failures])} failed"


def advice(failures: Sequence[Check]) -> tuple[str, ...]:
    """What to do about failed checks: a sentence or two for each kind of remedy, with the names of its checks.

    A wrong platform comes alone: nothing else matters until there is evidence of the right one. Otherwise what a file
    or a member of the policy settles comes last.
    """
    known = [(check.name, check.failure) for check in failures if check.failure]
    platform = [pair for pair in known if pair[1].kind is FailureKind.PLATFORM]
    order = list(FailureKind)
    names: dict[str, list[str]] = {}
    for name, failure in sorted(platform or known, key=lambda pair: order.index(pair[1].kind)):
        names.setdefault(failure.advice, []).append(name)
    return tuple(f"{_shortened(checks)}: {said}" for said, checks in names.items())


def lacking(failures: Sequence[Check]) -> frozenset[str]:
    """The kinds of collateral that would settle failed checks; none after a wrong platform."""
    if any(_is(check, FailureKind.PLATFORM) for check in failures):
        return frozenset()
    return frozenset(kind for check in failures if check.failure for kind in check.failure.lacks)


def sentences(failures: Sequence[Check]) -> tuple[str, ...]:
    """A sentence for each failed check, with what to do. After a wrong platform, which comes first, collateral does not
    matter: its checks are listed without their advice.
    """
    wrong = [check for check in failures if _is(check, FailureKind.PLATFORM)]
    others = [check for check in failures if check not in wrong]
    return tuple(
        check.sentence(advised=not (wrong and _is(check, FailureKind.COLLATERAL))) for check in (*wrong, *others)
    )


def _is(check: Check, kind: FailureKind) -> bool:
    return check.failure is not None and check.failure.kind is kind


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
