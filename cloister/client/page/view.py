"""What a page says about a machine: a snapshot in words. What is not known now is never shown as good."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cloister.client.computation.status import ComputationStatus
from cloister.client.computation.timeline import REASONS
from cloister.client.evidence.verdict import check_table
from cloister.client.html.parts import TextTable
from cloister.client.page.facts import facts
from cloister.client.page.machines import ManifestCopy
from cloister.client.page.people import Person, people
from cloister.client.page.watcher import Contact, Snapshot, Watcher
from cloister.client.waiting.next_steps import Step, StepReader, next_steps
from cloister.protocol import canonical
from cloister.protocol.events import State
from cloister.protocol.signingkey import key_id
from cloister.units import format_duration, format_size, local_time

STALE_SECONDS = 45.0
"""An answer of a machine that is older is not shown as what is so now."""

EVENTS_SHOWN = 100
"""Events on the page of a machine; all others are behind a link."""

_MOST_NOTICES = 16
_LONGEST = 500

_BEFORE_RESULTS = frozenset({State.RECEIVING, State.HELD, State.RUNNING})

_NOT_NOW = {
    Contact.ASKING: "The machine is asked for the first time.",
    Contact.SILENT: "The machine does not answer.",
    Contact.REFUSED: "The machine refuses to answer this key.",
    Contact.REJECTED: "Do not send anything to this machine: it is rejected.",
    Contact.BROKEN: "This machine is not watched any longer.",
}


@dataclass(frozen=True)
class Mark:
    """A word in a frame; ``kind`` is its colour: good, bad, warn or soft."""

    text: str
    kind: str


@dataclass(frozen=True)
class Transfer:
    """An asset on its way, or arrived."""

    name: str
    kind: str
    provider: str
    received: int
    size: int
    complete: bool
    said: str


@dataclass(frozen=True)
class MachineView:
    """A machine at one moment. ``current`` is false if what is shown is not known to be so now."""

    path: str
    title: str
    place: str
    current: bool
    verdict_mark: Mark
    state_mark: Mark
    lead: tuple[str, ...]
    warnings: tuple[str, ...]
    steps: tuple[Step, ...]
    waits: str
    transfers: tuple[Transfer, ...]
    people: tuple[Person, ...]
    results: tuple[tuple[str, str], ...]
    checks: TextTable | None
    verdict_said: str
    machine: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]
    events: Any
    events_said: str
    older: int
    fresh: str


def view(watcher: Watcher, reader: StepReader, clock: float) -> MachineView:
    """The view of a watched machine. ``clock`` is the monotonic clock's time, which decides what is stale."""
    return _View(watcher, reader, clock).made()


class _View:
    def __init__(self, watcher: Watcher, reader: StepReader, clock: float) -> None:
        self._watcher = watcher
        self._machine = watcher.machine
        self._found: Snapshot = watcher.snapshot
        self._stale = self._found.contact is Contact.ANSWERED and clock - self._found.clock > STALE_SECONDS
        verdict = self._found.verdict
        accepted = verdict is not None and verdict.accepted
        self._current = self._found.contact is Contact.ANSWERED and accepted and not self._stale
        self._status: ComputationStatus | None = self._found.status
        self._copy: ManifestCopy | None = watcher.manifest()
        self._reader = self._own(reader)

    def _own(self, reader: StepReader) -> StepReader:
        bound = self._found.bound
        found = replace(reader, parties=frozenset(bound.parties), owner="owner" in bound.roles)
        found = replace(found, options=(*self._machine.options, *reader.options))
        return found if self._copy is None else replace(found, manifest=self._copy.file)

    def made(self) -> MachineView:
        """The view."""
        machine, found = self._machine, self._found
        verdict, copy = found.verdict, self._copy.manifest if self._copy else None
        place = f"{machine.workspace}, {machine.cvm}" if machine.cvm else machine.workspace
        steps = self._steps()
        newest = found.events.newest(EVENTS_SHOWN)
        return MachineView(
            path=f"{machine.workspace}/{machine.cvm or 'machine'}/",
            title=self._copy.manifest.name if self._copy else place,
            place=place,
            current=self._current,
            verdict_mark=self._verdict_mark(),
            state_mark=self._state_mark(),
            lead=tuple(self._lead()),
            warnings=tuple(self._warnings()),
            steps=steps,
            waits=self._waits(steps),
            transfers=tuple(self._transfers()),
            people=tuple(people(machine, copy, verdict, self._watcher.key)),
            results=tuple(self._results()),
            checks=check_table(verdict) if verdict is not None else None,
            verdict_said=self._verdict_said(),
            machine=tuple(facts(machine, verdict)),
            notices=tuple(one[:_LONGEST] for one in self._status.answer.notices[:_MOST_NOTICES])
            if self._status
            else (),
            events=newest,
            events_said=self._events_said(),
            older=newest[-1][0] if newest and newest[-1][0] > found.events.first else 0,
            fresh=self._fresh(),
        )

    def _verdict_mark(self) -> Mark:
        verdict, contact = self._found.verdict, self._found.contact
        if contact is Contact.REJECTED or (verdict is not None and not verdict.accepted):
            return Mark("Rejected", "bad")
        if verdict is None or contact in (Contact.ASKING, Contact.SILENT, Contact.BROKEN) or self._stale:
            return Mark("Not verified now", "soft")
        if not verdict.confidential:
            return Mark("Accepted, not confidential", "warn")
        return Mark("Accepted", "good")

    def _state_mark(self) -> Mark:
        if self._status is None:
            return Mark("State unknown", "soft")
        if not self._current:
            return Mark(f"Last known: {self._status.progress}", "soft")
        kinds = {State.FAILED: "bad", State.STOPPED: "warn", State.COMPLETE: "good", State.CONSUMING: "good"}
        return Mark(str(self._status.progress), kinds.get(self._status.state, "plain"))

    def _lead(self) -> Iterator[str]:
        found = self._found
        if self._stale:
            yield "The machine has not answered for a while."
        elif not self._current:
            yield _NOT_NOW.get(found.contact, _NOT_NOW[Contact.REJECTED])
        if found.problem:
            yield found.problem
            yield found.hint
        if not self._current and self._status is not None and found.answered is not None:
            yield f"What follows is what it said last, at {local_time(found.answered)}."
        if self._current and found.verdict is not None:
            yield (
                "Your policy accepts this machine. Only its image can read its memory."
                if found.verdict.confidential
                else "Your policy accepts this machine, which is not confidential: its host can read everything in it."
            )
        if self._status is not None and (detail := self._status.answer.detail):
            yield f"Why it ended: {REASONS.get(detail, detail)}."

    def _warnings(self) -> Iterator[str]:
        if self._found.log_problem:
            yield f"The event log is not genuine, and is not read any further. {self._found.log_problem}"
        if self._found.rebooted is not None:
            yield (
                f"The machine has started again, as seen at {local_time(self._found.rebooted)}, which wipes everything "
                "that it held, or its host shows another one of the same kind. The events are those of its new start."
            )
        if self._found.differs:
            yield (
                "This is not what you accepted before in this workspace. Find out why before you send anything; your "
                f"next command asks you: {'; '.join(one.strip() for one in self._found.differs)}"
            )
        digest = self._status.answer.manifest_digest if self._status is not None else b""
        if digest and self._copy is None:
            copies = ", ".join(one.manifest.digest().hex()[:16] + "..." for one in self._machine.manifests)
            expected = (
                f"your copies have the digests {copies}. Do not upload anything before you know why"
                if copies
                else "name your copy with --manifest, so that this page can compare it"
            )
            yield f"The machine's manifest has the digest {digest.hex()}; {expected}."

    def _steps(self) -> tuple[Step, ...]:
        """What is missing. Nothing may be sent to a machine that is not known to be good now."""
        if not self._current or self._status is None or self._found.log_problem or self._found.differs:
            return ()
        if self._status.answer.manifest_digest and self._copy is None and self._machine.manifests:
            return ()
        manifest = self._copy.manifest if self._copy else None
        return next_steps(self._status, owners=self._owners(), reader=self._reader, manifest=manifest)

    def _owners(self) -> tuple[str, ...]:
        """The names of the owners that the evidence names."""
        verdict = self._found.verdict
        if verdict is None:
            return self._machine.owners
        known = self._names()
        return tuple(known.get(owner, owner[:12]) for owner in verdict.claims.boot_configuration.owners)

    def _names(self) -> dict[str, str]:
        parties = self._copy.manifest.parties if self._copy else {}
        return self._machine.members() | {key_id(key): name for name, key in parties.items()}

    def _waits(self, steps: tuple[Step, ...]) -> str:
        now = [step for step in steps if not step.later]
        if not now:
            return ""
        first = next((step for step in now if step.yours), now[0])
        who = " or ".join(first.who) + (" (you)" if first.yours else "")
        return f"{who}: {first.what}" if who else first.what

    def _transfers(self) -> Iterator[Transfer]:
        for one in self._status.answer.assets if self._status is not None else ():
            said = "complete" if one.complete else f"{format_size(one.received)} of {format_size(one.size)}"
            rate = self._found.rates.get(one.name, 0.0) if self._current else 0.0
            if rate and not one.complete:
                left = format_duration(max(1, int((one.size - one.received) / rate)))
                said += f", {format_size(int(rate))} a second, {left} left"
            yield Transfer(
                one.name, one.kind, one.provider, min(one.received, one.size), one.size or 1, one.complete, said
            )

    def _results(self) -> Iterator[tuple[str, str]]:
        yield from self._approvals()
        slots = self._status.answer.results if self._status is not None else ()
        for slot in slots:
            number = self._found.events.released.get(slot.consumer)
            if slot.consumed:
                logged = f"event {number}" if number is not None else "its event has not been read"
                yield slot.consumer, f"fetched at {_moment(slot.consumed_at)} ({logged})"
            else:
                yield slot.consumer, "ready, not fetched yet" if slot.ready else "not ready"
        if not slots and self._copy is not None and self._status is not None and self._status.state in _BEFORE_RESULTS:
            for consumer in self._copy.manifest.results.recipients:
                yield consumer, "receives it when the algorithm has ended"

    def _approvals(self) -> Iterator[tuple[str, str]]:
        for one in self._status.answer.approvals if self._status is not None else ():
            said = f"approved at {_moment(one.approved_at)}" if one.approved else "has not decided yet"
            yield one.party, said

    def _verdict_said(self) -> str:
        verdict = self._found.verdict
        if verdict is None:
            return "There is no verdict."
        passed = sum(check.outcome.value == "passed" for check in verdict.checks)
        found = "accepted" if verdict.accepted else "rejected"
        said = f"{found} at {local_time(verdict.at)}: {passed} checks passed, {len(verdict.failures)} failed."
        if self._found.contact in (Contact.SILENT, Contact.BROKEN) or self._stale:
            return f"The last verdict, which is not one about now: {said}"
        return f"The machine was {said} It shows new evidence every 10 minutes, and whenever the connection was lost."

    def _events_said(self) -> str:
        window = self._found.events
        known = self._status.answer.events if self._status is not None else window.count
        said = f"{window.count} events" if window.count >= known else f"{window.count} of {known} events so far"
        return (
            f"{said}. Each is verified: signed by the key in the machine's evidence, and chained to the one before. "
            "Times are from the host's clock; seconds are the machine's own, since its start."
        )

    def _fresh(self) -> str:
        answered = self._found.answered
        return f"The machine last answered at {local_time(answered)}." if answered else "No answer of the machine yet."


def _moment(moment: str) -> str:
    try:
        return local_time(canonical.from_time(moment, what="A time"))
    except canonical.FormatError:
        return "an unknown time"
