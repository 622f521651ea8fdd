"""The state of a computation, for people and programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cloister.client.computation.timeline import REASONS
from cloister.client.connection.connection import Connection
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Facts, one_line
from cloister.errors import ProofError
from cloister.protocol import canonical, text
from cloister.protocol.events import State
from cloister.protocol.progress import ComputationProgress, Tally
from cloister.units import format_size, local_time
from cloister.v1 import agent_pb2

_MOST_NOTICES = 16
_LONGEST_NOTICE = 500


@dataclass(frozen=True, repr=False)
class ComputationStatus:
    """The agent's answer, which is not proven: the event log is."""

    answer: agent_pb2.StatusResponse

    @property
    def state(self) -> State:
        """The state. Raises ProofError for an unknown one."""
        try:
            return State(self.answer.state)
        except ValueError as error:
            raise ProofError(f"The agent reports an unknown state: {self.answer.state[:40]!r}.") from error

    @property
    def progress(self) -> ComputationProgress:
        """How far the computation is. Raises ProofError for an unknown state."""
        assets, results = self.answer.assets, self.answer.results
        return ComputationProgress(
            state=self.state,
            algorithm=_tally([one.complete for one in assets if one.kind != "dataset"]),
            datasets=_tally([one.complete for one in assets if one.kind == "dataset"]),
            approved=_tally([one.approved for one in self.answer.approvals]),
            fetched=_tally([one.consumed for one in results]),
            seconds=self.answer.run_seconds,
        )

    def was_fetched_by(self, consumer: str) -> bool:
        """Return whether the machine says that it has released this consumer's result."""
        return any(one.consumer == consumer and one.consumed for one in self.answer.results)

    def value(self) -> dict[str, Any]:
        """The JSON value. Raises ProofError for an unknown state."""
        progress = self.progress
        return {
            "version": 1,
            "state": progress.phase.value,
            "shown": str(progress),
            "detail": self.answer.detail,
            "hold": self.answer.hold,
            "manifest": self.answer.manifest_digest.hex() or None,
            "assets": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "provider": one.provider,
                    "size": one.size,
                    "received": one.received,
                    "complete": one.complete,
                }
                for one in self.answer.assets
            ],
            "results": [
                {
                    "consumer": one.consumer,
                    "ready": one.ready,
                    "consumed": one.consumed,
                    "consumed_at": one.consumed_at or None,
                }
                for one in self.answer.results
            ],
            "approvals": [
                {"party": one.party, "approved": one.approved, "approved_at": one.approved_at or None}
                for one in self.answer.approvals
            ],
            "events": self.answer.events,
            "notices": list(self.answer.notices),
        }

    def lines(self) -> Iterator[str]:
        """The status for reading: the state, missing assets, and who has fetched. Raises ProofError."""
        yield from (f"{name:<10}{said}" for name, said in self.facts())

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return one_line(f"ComputationStatus: {self.progress}")

    def _repr_html_(self) -> str:
        return fragment(str(self.progress), Facts.of(self.facts()))

    def facts(self) -> Iterator[tuple[str, str]]:
        """The same, each with its name."""
        detail = self.answer.detail
        reason = f": {REASONS.get(detail, text.printable(detail))}" if detail else ""
        yield "State", f"{self.progress}{reason}"
        if self.answer.hold and self.state in (State.RECEIVING, State.HELD):
            yield "Start", "by an owner, within 24 hours after the last asset"
        yield "Manifest", self.answer.manifest_digest.hex() or "none submitted yet"
        for asset in self.answer.assets:
            share = "complete" if asset.complete else f"{format_size(asset.received)} of {format_size(asset.size)}"
            what = text.printable(f"{asset.name} ({asset.kind}, from {asset.provider})")
            yield "Asset", f"{what}: {share}"
        for one in self.answer.approvals:
            yield "Approval", f"{text.printable(one.party)}: {_described_approval(one)}"
        for slot in self.answer.results:
            yield "Result", f"{text.printable(slot.consumer)}: {_described_slot(slot)}"
        yield "Events", str(self.answer.events)
        for notice in self.answer.notices[:_MOST_NOTICES]:
            yield "Notice", text.printable(notice[:_LONGEST_NOTICE])


def fetch_status(connection: Connection) -> ComputationStatus:
    """Ask a CVM for the state of its computation.

    Args:
        connection: of a party of the manifest, or of an owner.

    Returns:
        The status.

    Raises:
        CloisterError: the policy rejects the CVM, the agent refuses, or no agent answers.
    """
    found = ComputationStatus(connection.call(lambda session: session.status()))
    _ = str(found)  # raises now what an answer that cannot be shown would raise later
    return found


def _tally(done: list[bool]) -> Tally:
    return Tally(sum(done), len(done))


def _described_approval(one: agent_pb2.ApprovalStatus) -> str:
    return f"given at {_moment(one.approved_at, 'The time of an approval')}" if one.approved else "not given yet"


def _moment(moment: str, what: str) -> str:
    return local_time(canonical.from_time(moment, what=what)) if moment else "?"


def _described_slot(slot: agent_pb2.SlotStatus) -> str:
    if slot.consumed:
        return f"fetched at {_moment(slot.consumed_at, 'The time of a release')}"
    return "ready, not fetched yet" if slot.ready else "not ready"
