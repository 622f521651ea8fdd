"""The vendors' services as a source of collateral, behind the cache.

All requests are made before the verifier starts: it never waits for the network. A failed request becomes a sentence
for the reader; the verdict then says what is missing.
"""

import datetime
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from cloister.attestation.collateral_source import CACHE, NETWORK, CollateralItem, InMemory, Origin
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import cache, content
from cloister.client.collateral.cache import Cache, Entry
from cloister.client.collateral.folder import placed
from cloister.client.collateral.request import CollateralRequest
from cloister.client.collateral.transport import Clock, CollateralUnavailable, Transport
from cloister.protocol import canonical

FRESH = datetime.timedelta(days=1)
"""How long a cached answer is used although a newer one may exist."""


@dataclass(frozen=True)
class FetchedCollateral:
    """What was fetched, and a sentence for each request that failed."""

    collateral: InMemory
    problems: tuple[str, ...]


class VendorServices:
    """Answers requests from the cache ``kept`` and over ``transport``; ``now`` gives the aware time."""

    def __init__(
        self,
        transport: Transport | None = None,
        kept: Cache | None = None,
        now: Clock = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._transport = transport or Transport(now=now)
        self._cache = kept or Cache()
        self._now = now

    def fetch(self, requests: Iterable[CollateralRequest]) -> FetchedCollateral:
        """All answers, including those of the requests that follow from them."""
        items: list[tuple[CollateralItem, Origin]] = []
        problems: list[str] = []
        left = deque(requests)
        while left:
            request = left.popleft()
            try:
                entry, source = self._answer(request)
            except CollateralUnavailable as error:
                problems.append(f"Cannot fetch {request.what}: {error.message}")
                continue
            place = f"{request.address}, fetched {canonical.to_time(entry.fetched)}"
            items += [(item, Origin(source, place)) for item in entry.items]
            left.extend(request.then(entry.items))
        return FetchedCollateral(placed(items), tuple(problems))

    def get(self, request: CollateralRequest) -> tuple[CollateralItem, ...]:
        """The items that answer ``request``. Raises CollateralUnavailable."""
        return self._answer(request)[0].items

    def _answer(self, request: CollateralRequest) -> tuple[Entry, str]:
        """The answer, and whether it is from the cache or the network. Raises CollateralUnavailable."""
        now = self._now()
        kept = self._cache.get(request.address, now)
        if kept is not None and (request.lasting or now - kept.fetched < FRESH):
            return kept, CACHE
        try:
            entry = self._request(request, now)
        except CollateralUnavailable:
            if kept is not None:
                return kept, CACHE
            raise
        self._cache.put(request.address, entry)
        return entry, NETWORK

    def _request(self, request: CollateralRequest, now: datetime.datetime) -> Entry:
        answer = self._transport.get(request.address, limit=request.limit, headers=request.headers)
        try:
            items = request.read(answer)
            ends = [content.dated(item, request.what).until for item in items]
        except MalformedEvidence as error:
            raise CollateralUnavailable(f"Unexpected answer from {request.address}: it {error.reason}.") from error
        entry = Entry(items, now, cache.earliest(ends))
        if not entry.usable_at(now):
            raise CollateralUnavailable(f"The answer of {request.address} expired at {entry.until}.")
        return entry
