"""What a verdict tells of a check besides its outcome."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckInfo:
    """``subject`` begins the sentence about a failure, ``advice`` ends it."""

    subject: str
    advice: str
