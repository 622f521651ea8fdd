"""A bound session with an agent: its calls, with typed messages."""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cloister.client.connection.channel import close_channel
from cloister.client.connection.refusal import DamagedStream
from cloister.client.connection.sealed_calls import UNARY_SECONDS, Data, SealedCalls, Sent, message
from cloister.protocol.approval import Approval
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2

FOLLOW_SECONDS = 60.0
"""Deadline of one call that follows events or logs. A connection that died silently is noticed then."""

_START_SECONDS = 60.0
_SLOWEST = 64 * 1024
"""Bytes per second. A slower transfer reaches its deadline, and resumes."""


@dataclass(frozen=True)
class Bound:
    """The agent's answer to binding the session: the roles of this key, and its names in the manifest."""

    roles: tuple[str, ...]
    parties: tuple[str, ...]


class Session:
    """Calls in one bound session. Each raises CloisterError: Refusal, ConnectionLost or DamagedStream."""

    def __init__(self, calls: SealedCalls, *, transcript: bytes, manifest_digest: bytes | None, bound: Bound) -> None:
        self.transcript = transcript
        self.manifest_digest = manifest_digest
        self.bound = bound
        self.calls = calls
        self.approvals: tuple[Approval, ...] = ()
        """The approvals that came with the last key of a result."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        close_channel(self.calls.channel)

    def status(self) -> agent_pb2.StatusResponse:
        """The state of the computation."""
        return self.calls.unary("Status", agent_pb2.StatusRequest(), agent_pb2.StatusResponse, "asking for the status")

    def submit_manifest(self, manifest: bytes, *, hold: bool = False) -> bytes:
        """Submit a canonical manifest, and return the digest that the agent computed. Invalidates the session.

        With ``hold`` the run does not begin before :meth:`start`.
        """
        request = agent_pb2.SubmitManifestRequest(manifest=manifest, hold=hold)
        answer = self.calls.unary(
            "SubmitManifest", request, agent_pb2.SubmitManifestResponse, "submitting the manifest"
        )
        return answer.digest

    def upload_offset(self, asset: str) -> agent_pb2.UploadOffsetResponse:
        """Return how much of an asset the agent has."""
        request = agent_pb2.UploadOffsetRequest(asset=asset)
        return self.calls.unary("UploadOffset", request, agent_pb2.UploadOffsetResponse, f"uploading {asset}")

    def upload_asset(
        self, start: agent_pb2.UploadStart, data: Data, remaining: int, sent: Sent = lambda size: None
    ) -> agent_pb2.UploadProgress:
        """Stream an asset's bytes from ``start.offset`` on, and return how far the agent has it then.

        ``data`` yields pieces of at most FRAME_SIZE, ``remaining`` bytes together, each valid until the next one is
        asked for; it is called in another thread, and only after the agent has accepted the consent. ``sent`` is called
        with the size of every piece when gRPC has it, in a third thread.
        """
        return self.calls.upload(start, data, sent, _START_SECONDS + remaining / _SLOWEST)

    def events(self, from_sequence: int, *, follow: bool) -> Iterator[bytes]:
        """Lines of the event log from a sequence number on.

        With ``follow`` the stream stays open; when its deadline or the agent ends it, call again.
        """
        request = agent_pb2.EventsRequest(from_sequence=from_sequence, follow=follow)
        doing = "reading the events"
        for record in self.calls.stream("Events", request, agent_pb2.EventRecord, doing, FOLLOW_SECONDS):
            yield record.line

    def logs(self, offset: int = 0, *, follow: bool = False) -> Iterator[agent_pb2.LogChunk]:
        """The algorithm's output from ``offset`` on, as far as the manifest lets this key read it.

        With ``follow`` the stream stays open until the run is over; when its deadline or the agent ends it, call again.
        """
        request = agent_pb2.LogsRequest(offset=offset, follow=follow)
        doing = "reading the algorithm's output"
        yield from self.calls.stream(
            "Logs", request, agent_pb2.LogChunk, doing, FOLLOW_SECONDS if follow else UNARY_SECONDS
        )

    @contextlib.contextmanager
    def fetch_result(
        self, consumer: str, offset: int, expected: int
    ) -> Generator[tuple[int, Iterator[bytes]], None, None]:
        """The size of the ciphertext of a consumer's slot, and its bytes from ``offset`` on.

        ``expected`` bytes bound the time it may take.
        """
        request = agent_pb2.FetchResultRequest(consumer=consumer, offset=offset)
        doing = "fetching the result"
        frames = self.calls.frames("FetchResult", request, doing, _START_SECONDS + expected / _SLOWEST)
        with contextlib.closing(frames):
            first = next(frames, None)
            if first is None:
                raise DamagedStream(f"While {doing}, the agent did not say how long it is.")
            yield message(agent_pb2.ResultStart, first, doing).size, frames

    def release_result(self, consumer: str, ciphertext_digest: bytes) -> bytes:
        """Acknowledge a ciphertext (by the SHA-256 of all of it) and get its key: 32 bytes, once."""
        request = agent_pb2.ReleaseResultRequest(consumer=consumer, ciphertext_digest=ciphertext_digest)
        answer = self.calls.unary("ReleaseResult", request, agent_pb2.ReleaseResultResponse, "releasing the result")
        self.approvals = tuple(Approval(one.party, one.transcript, one.signature) for one in answer.approvals)
        return answer.key

    def preview(self) -> agent_pb2.PreviewResponse:
        """What this key sees of the result before it decides on it."""
        request = agent_pb2.PreviewRequest()
        return self.calls.unary("Preview", request, agent_pb2.PreviewResponse, "asking what the result has")

    def approve(self, approval: bytes) -> None:
        """Approve the result, with this party's signature."""
        request = agent_pb2.DecideRequest(approval=approval)
        self.calls.unary("Decide", request, agent_pb2.DecideResponse, "approving the result")

    def reject(self, rejection: bytes) -> None:
        """Reject the result, with this party's signature: the computation ends."""
        request = agent_pb2.DecideRequest(rejection=rejection)
        self.calls.unary("Decide", request, agent_pb2.DecideResponse, "rejecting the result")

    def proof(self) -> tuple[bytes, bytes]:
        """The receipt's envelope and the evidence taken for it (protobuf)."""
        receipt, evidence = bytearray(), bytearray()
        request = agent_pb2.ProofRequest()
        for chunk in self.calls.stream("Proof", request, agent_pb2.ProofChunk, "fetching the proof", UNARY_SECONDS):
            part = receipt if chunk.WhichOneof("content") == "receipt" else evidence
            part += chunk.receipt or chunk.evidence
            if len(receipt) + len(evidence) > 32 * FRAME_SIZE:
                raise DamagedStream(f"The agent's proof is longer than {32 * FRAME_SIZE} bytes.")
        return bytes(receipt), bytes(evidence)

    def metrics(self, *, log: bool = False) -> agent_pb2.MetricsResponse:
        """The agent's counters, and its log."""
        request = agent_pb2.MetricsRequest(log=log)
        return self.calls.unary("Metrics", request, agent_pb2.MetricsResponse, "reading the agent's metrics")

    def start(self) -> None:
        """Start a run that was held."""
        self.calls.unary("Start", agent_pb2.StartRequest(), agent_pb2.StartResponse, "starting the run")

    def withdraw(self, withdrawal: bytes) -> None:
        """Take this provider's consents back, with its signature: the computation ends."""
        request = agent_pb2.WithdrawRequest(withdrawal=withdrawal)
        self.calls.unary("Withdraw", request, agent_pb2.WithdrawResponse, "withdrawing the consent")

    def stop(self) -> None:
        """Stop the computation for good."""
        self.calls.unary("Stop", agent_pb2.StopRequest(), agent_pb2.StopResponse, "stopping the computation")

    def reset(self) -> None:
        """Wipe everything and reboot the CVM."""
        self.calls.unary("Reset", agent_pb2.ResetRequest(), agent_pb2.ResetResponse, "resetting the CVM")
