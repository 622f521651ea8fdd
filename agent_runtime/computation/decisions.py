"""A party's decisions about the computation: withdrawals, approvals and rejections.

Each is verified, and then made under the lifecycle's lock, so that it is compared with every event before it.
"""

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

_MAX_SIGNATURE = 1024
_NO_RESULT = "There is no result to decide on"


@dataclass(frozen=True)
class ResultSummary:
    """What an approver sees of a result: the digest of its receipt, name and size of each file, bytes of the logs."""

    receipt_digest: bytes
    files: tuple[tuple[str, int], ...]
    log_size: int


@dataclass(frozen=True)
class _Made:
    """A party's decision: its event, and the approval unless it is a rejection."""

    event: Event
    approval: Approval | None


class Decisions:
    """What the parties of one computation decide about it."""

    def __init__(self, lifecycle: Lifecycle, run: Run, slots: ResultSlots) -> None:
        self._lifecycle = lifecycle
        self._run = run
        self._slots = slots
        self._made: dict[str, _Made] = {}

    def approvals(self) -> tuple[Approval, ...]:
        """The approvals, once the result is released; empty before."""
        made = sorted(self._made.items())
        return tuple(one.approval for _, one in made if one.approval) if self._lifecycle.approved else ()

    def approved_at(self, party: str) -> str:
        """When a party approved the result, in the format of events; empty if it did not."""
        made = self._made.get(party)
        return made.event.time if made is not None and made.approval else ""

    def withdraw(self, signature: bytes, session: BoundSession) -> None:
        """End the computation because a provider takes its consent back, and delete the data of all parties.

        Nothing happens if the same party did so before: the answer to an earlier call may be lost.

        Raises CallRefusal NOT_AUTHORIZED, WRONG_SIGNATURE, and TOO_LATE after the first release of a result.
        """
        lifecycle = self._lifecycle
        with lifecycle.lock:
            manifest = lifecycle.require_manifest()
            party = authorization.require_any_provider(session, manifest)
            message = transcript.withdrawal_message(
                manifest_digest=manifest.digest(), party=party, transcript=session.transcript
            )
            _verify(manifest.parties[party], signature, message, "withdrawal")
            ended = lifecycle.ended
            if ended is not None and (ended.kind, ended.actor) == (EventKind.WITHDRAWN, session.key_id):
                return
            if lifecycle.closed is not None:
                raise lifecycle.too_late("The withdrawal", lifecycle.closed)
            detail = {"party": party, **_signed("withdrawal", signature, session)}
            lifecycle.end(
                State.STOPPED,
                EventKind.WITHDRAWN,
                actor=session.key_id,
                reason=WITHDRAWN,
                detail=detail,
                unread=True,
            )

    def preview(self, session: BoundSession) -> ResultSummary:
        """What an approver sees of the result that it decides on; the same afterwards, because an answer may be lost.

        Raises CallRefusal NOT_AUTHORIZED, and NOT_READY without a result.
        """
        lifecycle = self._lifecycle
        with lifecycle.lock:
            manifest = lifecycle.require_manifest()
            authorization.require_approver(session, manifest)
            receipt = self._run.receipt
            if receipt is None or lifecycle.state not in (State.APPROVAL, State.CONSUMING, State.COMPLETE):
                raise lifecycle.not_ready(_NO_RESULT)
            return ResultSummary(
                receipt.payload_digest, receipt.files, self._run.logs.size if manifest.logs.readers else 0
            )

    def approve(self, signature: bytes, session: BoundSession) -> None:
        """Approve the result. The last approval releases results and logs.

        Nothing happens if the same party did so before. Raises CallRefusal NOT_AUTHORIZED, NOT_READY, WRONG_SIGNATURE,
        and TOO_LATE after its rejection and after the end.
        """
        lifecycle = self._lifecycle
        with lifecycle.lock:
            manifest = lifecycle.require_manifest()
            party = authorization.require_approver(session, manifest)
            if self._repeated(party, EventKind.APPROVED, "The approval"):
                return
            receipt = self._undecided()
            approval = Approval(party, session.transcript, signature)
            message = transcript.approval_message(
                manifest_digest=manifest.digest(),
                payload_digest=receipt.payload_digest,
                transcript=session.transcript,
            )
            _verify(manifest.parties[party], signature, message, "approval")
            if all(name == party or name in self._made for name in manifest.results.approvers):
                lifecycle.state = State.CONSUMING
            detail = {"party": party, **_signed("approval", signature, session)}
            event = lifecycle.append(EventKind.APPROVED, actor=session.key_id, detail=detail)
            self._made[party] = _Made(event, approval)
            lifecycle.approved = lifecycle.state is State.CONSUMING
            if lifecycle.approved and self._slots.all_released():
                lifecycle.end(State.COMPLETE, EventKind.COMPLETED)

    def reject(self, signature: bytes, session: BoundSession) -> None:
        """Reject the result: the computation ends, and the data of all parties is deleted.

        Nothing happens if the same party did so before. Raises CallRefusal as :meth:`approve`.
        """
        lifecycle = self._lifecycle
        with lifecycle.lock:
            manifest = lifecycle.require_manifest()
            party = authorization.require_approver(session, manifest)
            if self._repeated(party, EventKind.REJECTED, "The rejection"):
                return
            receipt = self._undecided()
            message = transcript.rejection_message(
                manifest_digest=manifest.digest(),
                payload_digest=receipt.payload_digest,
                transcript=session.transcript,
            )
            _verify(manifest.parties[party], signature, message, "rejection")
            detail = {"party": party, **_signed("rejection", signature, session)}
            lifecycle.end(
                State.STOPPED,
                EventKind.REJECTED,
                actor=session.key_id,
                reason=REJECTED,
                detail=detail,
                unread=True,
            )
            if lifecycle.ended is not None:
                self._made[party] = _Made(lifecycle.ended, None)

    def expire(self) -> None:
        """Reject the result because not every party has decided in time. The lock is held."""
        self._lifecycle.end(State.STOPPED, EventKind.REJECTED, reason=NOT_DECIDED, unread=True)

    def _repeated(self, party: str, kind: EventKind, what: str) -> bool:
        """Whether the party decided the same before. Raises CallRefusal TOO_LATE if another event came first."""
        made, ended = self._made.get(party), self._lifecycle.ended
        first = ended
        if made is not None and made.event.kind is not kind:
            first = made.event
        elif made is not None and (ended is None or ended == made.event or ended.state is State.COMPLETE):
            return True
        if first is not None:
            raise self._lifecycle.too_late(what, first)
        return False

    def _undecided(self) -> SignedReceipt:
        """The receipt of the result that waits for approval. Raises CallRefusal NOT_READY when none does."""
        if self._lifecycle.state is not State.APPROVAL or self._run.receipt is None:
            raise self._lifecycle.not_ready(_NO_RESULT)
        return self._run.receipt


def _verify(key: bytes, signature: bytes, message: bytes, what: str) -> None:
    """Raises CallRefusal WRONG_SIGNATURE unless ``key`` signed ``message``."""
    if len(signature) > _MAX_SIGNATURE or not signingkey.verify(key, signature, message):
        raise CallRefusal(
            Reason.WRONG_SIGNATURE, f"The {what} is not signed by this party for this manifest and this session."
        )


def _signed(name: str, signature: bytes, session: BoundSession) -> dict[str, str]:
    """A signature and what it covers of the session, for the detail of an event."""
    return {"transcript": canonical.to_base64(session.transcript), name: canonical.to_base64(signature)}
