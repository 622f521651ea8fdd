"""A question to a vendor's service: where it is asked, and what counts as an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cloister.attestation.collateral_source import CollateralItem
from cloister.client.collateral.transport import Answer

Reading = Callable[[Answer], tuple[CollateralItem, ...]]
"""From an answer to its items. Raises MalformedEvidence for an answer that is not what was asked for."""


def _nothing(items: tuple[CollateralItem, ...]) -> tuple["Question", ...]:
    return ()


@dataclass(frozen=True)
class Question:
    """``what`` names it for people, ``limit`` bounds the answer in bytes.

    ``lasting`` answers never change while they are valid; the others are asked for again once a day. ``then`` has the
    questions that an answer raises; they must come to an end.
    """

    what: str
    address: str
    read: Reading
    limit: int
    lasting: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[tuple[CollateralItem, ...]], tuple["Question", ...]] = _nothing
