"""A request for collateral: its address, and what counts as an answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cloister.attestation.collateral_source import CollateralItem
from cloister.client.collateral.transport import Answer

Reading = Callable[[Answer], tuple[CollateralItem, ...]]
"""From an answer to its items. Raises MalformedEvidence for an answer that is not what was asked for."""


def _nothing(items: tuple[CollateralItem, ...]) -> tuple["CollateralRequest", ...]:
    return ()


@dataclass(frozen=True)
class CollateralRequest:
    """One request to a vendor's service.

    kind: the kind of what is asked for (``collateral_source.COLLATERAL_KINDS``); its issuers may come with it.
    what: names the requested collateral in messages.
    address: the URL.
    read: reads the items from the answer.
    limit: the largest answer, in bytes.
    lasting: whether an answer never changes while it is valid; others are requested again once a day.
    headers: HTTP header fields; empty for none.
    then: the requests that follow from an answer. They must come to an end; by default no request follows.
    """

    kind: str
    what: str
    address: str
    read: Reading
    limit: int
    lasting: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[tuple[CollateralItem, ...]], tuple["CollateralRequest", ...]] = _nothing
