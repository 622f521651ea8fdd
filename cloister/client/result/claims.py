"""An account of what was proven: statement by statement, in order, up to the first that fails."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cloister.errors import CloisterError


class Outcome(StrEnum):
    """How the check behind a statement ended."""

    PROVEN = "proven"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True)
class Statement:
    """``text`` says what would be true, ``detail`` what was found, or why it was not checked."""

    text: str
    outcome: Outcome
    detail: str = ""

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"statement": self.text, "outcome": self.outcome.value, "detail": self.detail}


class Account:
    """Makes checks one after another. After a failure nothing that follows is checked: it could rest on it."""

    def __init__(self) -> None:
        self._statements: list[Statement] = []

    @property
    def failed(self) -> bool:
        """Whether a check has failed."""
        return any(statement.outcome is Outcome.FAILED for statement in self._statements)

    def check(self, text: str, make: Callable[[], str]) -> None:
        """Make one check: ``make`` returns a detail, or raises CloisterError, which fails the statement."""
        if self.failed:
            self.skip(text, "something before it failed")
            return
        try:
            detail = make()
        except CloisterError as error:
            self._statements.append(Statement(text, Outcome.FAILED, error.message))
        else:
            self._statements.append(Statement(text, Outcome.PROVEN, detail))

    def skip(self, text: str, reason: str) -> None:
        """Say that something was not checked, and why."""
        self._statements.append(Statement(text, Outcome.NOT_CHECKED, reason))

    def statements(self) -> tuple[Statement, ...]:
        """Everything so far, in order."""
        return tuple(self._statements)
