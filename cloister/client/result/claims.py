"""The findings of a verification: a list of claims, each proven or not, up to the first that fails."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cloister.client.html.parts import TextTable
from cloister.errors import CloisterError


class ClaimOutcome(StrEnum):
    """How the check of a claim ended."""

    PROVEN = "proven"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True)
class Claim:
    """``text`` is the claim, ``detail`` what was found, or why it was not checked."""

    text: str
    outcome: ClaimOutcome
    detail: str = ""

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"statement": self.text, "outcome": self.outcome.value, "detail": self.detail}

    def line(self) -> str:
        """The claim as one line."""
        return f"  {self.outcome.value:<11}  {self.text}: {self.detail}"


def claim_table(claims: Iterable[Claim]) -> TextTable:
    """The claims as a table."""
    columns = (("Outcome", "outcome"), ("Statement", "value"), ("Found", "value"))
    return TextTable.of(columns, [(claim.outcome.value, claim.text, claim.detail) for claim in claims])


class ClaimRecorder:
    """Checks claims in order. After a failure the rest is not checked, because it may depend on what failed."""

    def __init__(self) -> None:
        self._claims: list[Claim] = []

    @property
    def failed(self) -> bool:
        """Whether a claim has failed."""
        return any(claim.outcome is ClaimOutcome.FAILED for claim in self._claims)

    def check(self, text: str, prove: Callable[[], str]) -> None:
        """Check one claim: ``prove`` returns a detail, or raises CloisterError, which fails the claim."""
        if self.failed:
            self.skip(text, "an earlier check failed")
            return
        try:
            detail = prove()
        except CloisterError as error:
            self._claims.append(Claim(text, ClaimOutcome.FAILED, error.message))
        else:
            self._claims.append(Claim(text, ClaimOutcome.PROVEN, detail))

    def skip(self, text: str, reason: str) -> None:
        """Record that a claim was not checked, and why."""
        self._claims.append(Claim(text, ClaimOutcome.NOT_CHECKED, reason))

    def claims(self) -> tuple[Claim, ...]:
        """All claims so far, in order."""
        return tuple(self._claims)
