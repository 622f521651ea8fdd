"""A party's decisions about the computation: withdrawals, approvals and rejections.

The caller holds the lifecycle's lock, so that each is compared with every event before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.computation import authorization
from agent_runtime.computation.receipt import SignedReceipt
from agent_runtime.computation.results import ResultSlots
from agent_runtime.computation.run import Run
from agent_runtime.computation.state import Lifecycle
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.rpc.session import BoundSession
from cloister.protocol import canonical, signingkey, transcript
from cloister.protocol.approval import Approval
from cloister.protocol.events import Event, EventKind, State

WITHDRAWN = "WITHDRAWN"
"""Why a computation stopped whose provider took its consent back."""

REJECTED, NOT_DECIDED = "REJECTED", "NOT_DECIDED"
"""Why a computation stopped whose result a party rejected, or on which not every party decided in time."""

_NO_RESULT = "There is no result to decide on"


@dataclass(frozen=True)
class ResultSummary:
    """What an approver sees of a result: the digest of its receipt, name and size of each file, bytes of the logs."""

    receipt_digest: bytes
    files: tuple[tuple[str, int], ...]
    log_size: int


@dataclass(frozen=True)
class _Kind:
    """A kind of decision: its event, its name there and in messages, and the function that makes what is signed."""

    event: EventKind
    name: str
    message: Callable[..., bytes]


_WITHDRAWAL = _Kind(EventKind.WITHDRAWN, "withdrawal", transcript.withdrawal_message)
_APPROVAL = _Kind(EventKind.APPROVED, "approval", transcript.approval_message)
_REJECTION = _Kind(EventKind.REJECTED, "rejection", transcript.rejection_message)


class Decisions:
    """What the parties of one computation decide about it. Every method but ``approved_at`` needs the lock."""

    def __init__(self, lifecycle: Lifecycle, run: Run, slots: ResultSlots) -> None:
        self._lifecycle = lifecycle
        self._run = run
        self._slots = slots
        self._approvals: dict[str, tuple[Event, Approval]] = {}

    def approvals(self) -> tuple[Approval, ...]:
        """The approvals, once the result is released; empty before."""
        given = tuple(approval for _, (_, approval) in sorted(self._approvals.items()))
        return given if self._lifecycle.approved else ()

    def approved_at(self, party: str) -> str:
        """When a party approved the result, in the format of events; empty if it did not."""
        given = self._approvals.get(party)
        return "" if given is None else given[0].time

    def withdraw(self, signature: bytes, session: BoundSession) -> None:
        """End the computation because a provider takes its consent back, and delete the data of all parties.

        Nothing happens if the same party did so before: the answer to an earlier call may be lost.

        Raises CallRefusal NOT_AUTHORIZED, WRONG_SIGNATURE, and TOO_LATE after the first release of a result.
        """
        lifecycle = self._lifecycle
        party = authorization.require_any_provider(session, lifecycle.require_manifest())
        if self._has_ended_it(EventKind.WITHDRAWN, session):
            return
        if lifecycle.closed is not None:
            raise lifecycle.too_late("The withdrawal", lifecycle.closed)
        detail = self._signed(_WITHDRAWAL, signature, party, session, party=party)
        self._stop(_WITHDRAWAL, session, WITHDRAWN, detail)

    def preview(self, session: BoundSession) -> ResultSummary:
        """What an approver sees of the result that it decides on; the same afterwards, because an answer may be lost.

        Raises CallRefusal NOT_AUTHORIZED, and NOT_READY without a result.
        """
        lifecycle, receipt = self._lifecycle, self._run.receipt
        manifest = lifecycle.require_manifest()
        authorization.require_approver(session, manifest)
        if receipt is None or lifecycle.state not in (State.APPROVAL, State.CONSUMING, State.COMPLETE):
            raise lifecycle.not_ready(_NO_RESULT)
        return ResultSummary(receipt.payload_digest, receipt.files, self._run.logs.size if manifest.logs.readers else 0)

    def decide(self, signature: bytes, session: BoundSession, *, approve: bool) -> None:
        """Approve the result, or reject it. The last approval releases results and logs; a rejection ends the
        computation, and the data of all parties is deleted.

        Nothing happens if the same party decided the same before. Raises CallRefusal NOT_AUTHORIZED, NOT_READY,
        WRONG_SIGNATURE, and TOO_LATE after the party's other decision and after the end.
        """
        kind = _APPROVAL if approve else _REJECTION
        party = authorization.require_approver(session, self._lifecycle.require_manifest())
        if self._is_repeated(kind, party, session):
            return
        digest = self._undecided().payload_digest
        detail = self._signed(kind, signature, party, session, payload_digest=digest)
        if approve:
            self._approve(Approval(party, session.transcript, signature), session, detail)
        else:
            self._stop(kind, session, REJECTED, detail)

    def expire(self) -> None:
        """Reject the result because not every party has decided in time."""
        self._lifecycle.end(State.STOPPED, EventKind.REJECTED, reason=NOT_DECIDED, unread=True)

    def _approve(self, approval: Approval, session: BoundSession, detail: dict[str, str]) -> None:
        lifecycle = self._lifecycle
        missing = set(lifecycle.require_manifest().results.approvers) - self._approvals.keys() - {approval.party}
        event = lifecycle.append(
            EventKind.APPROVED, actor=session.key_id, detail=detail, state=None if missing else State.CONSUMING
        )
        self._approvals[approval.party] = event, approval
        lifecycle.approved = not missing
        if lifecycle.approved and self._slots.all_released():
            lifecycle.end(State.COMPLETE, EventKind.COMPLETED)

    def _stop(self, kind: _Kind, session: BoundSession, reason: str, detail: dict[str, str]) -> None:
        """End the computation with a decision; no one reads anything of it any more."""
        self._lifecycle.end(State.STOPPED, kind.event, actor=session.key_id, reason=reason, detail=detail, unread=True)

    def _is_repeated(self, kind: _Kind, party: str, session: BoundSession) -> bool:
        """Whether the party decided the same before. Raises CallRefusal TOO_LATE if another event came first."""
        first, given = self._lifecycle.ended, self._approvals.get(party)
        if given is not None and kind is _APPROVAL and (first is None or first.state is State.COMPLETE):
            return True
        if self._has_ended_it(kind.event, session):
            return True
        if given is not None and kind is _REJECTION:
            first, _ = given
        if first is not None:
            raise self._lifecycle.too_late(f"The {kind.name}", first)
        return False

    def _has_ended_it(self, kind: EventKind, session: BoundSession) -> bool:
        """Whether this key has ended the computation with a decision of this kind."""
        ended = self._lifecycle.ended
        return ended is not None and (ended.kind, ended.actor) == (kind, session.key_id)

    def _undecided(self) -> SignedReceipt:
        """The receipt of the result that waits for approval. Raises CallRefusal NOT_READY when none does."""
        if self._lifecycle.state is not State.APPROVAL or self._run.receipt is None:
            raise self._lifecycle.not_ready(_NO_RESULT)
        return self._run.receipt

    def _signed(
        self, kind: _Kind, signature: bytes, party: str, session: BoundSession, /, **about: object
    ) -> dict[str, str]:
        """The detail of a decision's event. Raises CallRefusal WRONG_SIGNATURE unless the party signed it here."""
        manifest = self._lifecycle.require_manifest()
        message = kind.message(manifest_digest=manifest.digest(), transcript=session.transcript, **about)
        if not signingkey.verify(manifest.parties[party], signature, message):
            raise CallRefusal(
                Reason.WRONG_SIGNATURE,
                f"The {kind.name} is not signed by this party for this manifest and this session.",
            )
        return {
            "party": party,
            "transcript": canonical.to_base64(session.transcript),
            kind.name: canonical.to_base64(signature),
        }
