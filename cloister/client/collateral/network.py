"""The vendors' services as a source of collateral: what is in the cache is not asked for, what came is kept there.

All questions are asked before the verifier starts: it takes what there is and never waits. A question without an
answer is a sentence for the person; the verdict then says what it lacks.
"""

import datetime
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from cloister.attestation.collateral_source import CollateralItem, InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.client.collateral import cache, content
from cloister.client.collateral.cache import Cache, Entry
from cloister.client.collateral.folder import gathered
from cloister.client.collateral.service import Question
from cloister.client.collateral.transport import Clock, CollateralUnavailable, Transport

FRESH = datetime.timedelta(days=1)
"""How long an answer that changes is taken from the cache although a newer one may exist."""


@dataclass(frozen=True)
class Fetched:
    """What was found, and a sentence for each question that was not answered."""

    collateral: InMemory
    problems: tuple[str, ...]


class VendorServices:
    """Answers questions from ``cache`` and over ``transport``; ``now`` gives the aware time."""

    def __init__(
        self,
        transport: Transport | None = None,
        kept: Cache | None = None,
        now: Clock = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._transport = transport or Transport(now=now)
        self._cache = kept or Cache()
        self._now = now

    def fetch(self, questions: Iterable[Question]) -> Fetched:
        """All answers that there are, also to the questions that they raise."""
        items: list[CollateralItem] = []
        problems: list[str] = []
        left = deque(questions)
        while left:
            question = left.popleft()
            try:
                answer = self.ask(question)
            except CollateralUnavailable as error:
                problems.append(f"There is no answer to {question.what}: {error.message}")
                continue
            items += answer
            left.extend(question.then(answer))
        return Fetched(gathered(items), tuple(problems))

    def ask(self, question: Question) -> tuple[CollateralItem, ...]:
        """The items that answer ``question``. Raises CollateralUnavailable."""
        now = self._now()
        kept = self._cache.get(question.address, now)
        if kept is not None and (question.lasting or now - kept.fetched < FRESH):
            return kept.items
        try:
            entry = self._asked(question, now)
        except CollateralUnavailable:
            if kept is not None:
                return kept.items
            raise
        self._cache.put(question.address, entry)
        return entry.items

    def _asked(self, question: Question, now: datetime.datetime) -> Entry:
        answer = self._transport.get(question.address, limit=question.limit, headers=question.headers)
        try:
            items = question.read(answer)
            ends = [content.piece(item, question.what).until for item in items]
        except MalformedEvidence as error:
            raise CollateralUnavailable(f"{question.address} answered with something else: {error.reason}.") from error
        entry = Entry(items, now, cache.until(ends))
        if not entry.usable_at(now):
            raise CollateralUnavailable(f"{question.address} answered with something that ended at {entry.until}.")
        return entry
