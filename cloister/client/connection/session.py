"""A bound session with an agent: typed calls, sealed and opened in one place.

Every call is its own stream with a higher id than the one before; ids are never reused, and frames keep their order
(docs/protocol.md, "Sealed calls").
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from cloister.client.connection import refusal
from cloister.client.connection.refusal import DamagedStream
from cloister.endpoint import Address
from cloister.protocol.sealing import FRAME_SIZE, Opener, Sealer, SealError, Sender, SessionKeys
from cloister.v1 import agent_pb2, agent_pb2_grpc

M = TypeVar("M", bound=Message)

UNARY_SECONDS = 60.0
"""Deadline of a call with one answer. A machine without hardware virtualisation takes seconds for some."""

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

    def __init__(
        self,
        *,
        channel: grpc.Channel,
        address: Address,
        session_id: str,
        keys: SessionKeys,
        transcript: bytes,
        manifest_digest: bytes | None,
        bound: Bound,
    ) -> None:
        self.transcript = transcript
        self.manifest_digest = manifest_digest
        self.bound = bound
        self._channel = channel
        self._stub = agent_pb2_grpc.AgentStub(channel)
        self._address = address
        self._id = session_id
        self._keys = keys
        self._lock = threading.Lock()
        self._last_stream = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def status(self) -> agent_pb2.StatusResponse:
        """The state of the computation."""
        return self._unary("Status", agent_pb2.StatusRequest(), agent_pb2.StatusResponse, "asking for the status")

    def submit_manifest(self, manifest: bytes, *, hold: bool = False) -> bytes:
        """Submit a canonical manifest, and return the digest that the agent computed. Invalidates the session.

        With ``hold`` the run does not begin before :meth:`start`.
        """
        request = agent_pb2.SubmitManifestRequest(manifest=manifest, hold=hold)
        answer = self._unary("SubmitManifest", request, agent_pb2.SubmitManifestResponse, "submitting the manifest")
        return answer.digest

    def upload_offset(self, asset: str) -> agent_pb2.UploadOffsetResponse:
        """Return how much of an asset the agent has."""
        request = agent_pb2.UploadOffsetRequest(asset=asset)
        return self._unary("UploadOffset", request, agent_pb2.UploadOffsetResponse, f"uploading {asset}")

    def upload_asset(
        self, start: agent_pb2.UploadStart, data: Callable[[], Iterator[bytes]], remaining: int
    ) -> agent_pb2.UploadProgress:
        """Stream an asset's bytes from ``start.offset`` on, and return how far the agent has it then.

        ``data`` yields pieces of at most FRAME_SIZE, ``remaining`` bytes together; it is called in another thread,
        and only after the agent has accepted the consent.
        """
        return _Upload(self, start, data, remaining).run()

    def events(self, from_sequence: int, *, follow: bool) -> Iterator[bytes]:
        """Lines of the event log from a sequence number on.

        With ``follow`` the stream stays open; when its deadline or the agent ends it, call again.
        """
        request = agent_pb2.EventsRequest(from_sequence=from_sequence, follow=follow)
        doing = "reading the events"
        for record in self._stream("Events", request, agent_pb2.EventRecord, doing, FOLLOW_SECONDS):
            yield record.line

    def logs(self, offset: int = 0, *, follow: bool = False) -> Iterator[agent_pb2.LogChunk]:
        """The algorithm's output from ``offset`` on, as far as the manifest lets this key read it.

        With ``follow`` the stream stays open until the run is over; when its deadline or the agent ends it, call again.
        """
        request = agent_pb2.LogsRequest(offset=offset, follow=follow)
        doing = "reading the algorithm's output"
        yield from self._stream("Logs", request, agent_pb2.LogChunk, doing, FOLLOW_SECONDS if follow else UNARY_SECONDS)

    def fetch_result(self, consumer: str, offset: int, expected: int) -> Iterator[agent_pb2.ResultChunk]:
        """The ciphertext of a consumer's slot from ``offset`` on; ``expected`` bytes bound the time it may take."""
        request = agent_pb2.FetchResultRequest(consumer=consumer, offset=offset)
        seconds = _START_SECONDS + expected / _SLOWEST
        yield from self._stream("FetchResult", request, agent_pb2.ResultChunk, "fetching the result", seconds)

    def release_result(self, consumer: str, ciphertext_digest: bytes) -> bytes:
        """Acknowledge a ciphertext (by the SHA-256 of all of it) and get its key: 32 bytes, once."""
        request = agent_pb2.ReleaseResultRequest(consumer=consumer, ciphertext_digest=ciphertext_digest)
        return self._unary("ReleaseResult", request, agent_pb2.ReleaseResultResponse, "releasing the result").key

    def proof(self) -> tuple[bytes, bytes]:
        """The receipt's envelope and the evidence taken for it (protobuf)."""
        receipt, evidence = bytearray(), bytearray()
        request = agent_pb2.ProofRequest()
        for chunk in self._stream("Proof", request, agent_pb2.ProofChunk, "fetching the proof", UNARY_SECONDS):
            part = receipt if chunk.WhichOneof("content") == "receipt" else evidence
            part += chunk.receipt or chunk.evidence
            if len(receipt) + len(evidence) > 32 * FRAME_SIZE:
                raise DamagedStream(f"The agent's proof is longer than {32 * FRAME_SIZE} bytes.")
        return bytes(receipt), bytes(evidence)

    def start(self) -> None:
        """Start a run that was held."""
        self._unary("Start", agent_pb2.StartRequest(), agent_pb2.StartResponse, "starting the run")

    def stop(self) -> None:
        """Stop the computation for good."""
        self._unary("Stop", agent_pb2.StopRequest(), agent_pb2.StopResponse, "stopping the computation")

    def reset(self) -> None:
        """Wipe everything and reboot the CVM."""
        self._unary("Reset", agent_pb2.ResetRequest(), agent_pb2.ResetResponse, "resetting the CVM")

    def _next_stream(self) -> int:
        """Call with the lock held, and keep it until the agent has taken the stream's first frame."""
        self._last_stream += 1
        return self._last_stream

    def _frame(self, sealer: Sealer, stream: int, plaintext: bytes, *, last: bool) -> agent_pb2.Sealed:
        counter, ciphertext = sealer.seal(plaintext, last=last)
        return agent_pb2.Sealed(session_id=self._id, stream=stream, counter=counter, last=last, ciphertext=ciphertext)

    def _open(self, opener: Opener, frame: agent_pb2.Sealed, doing: str) -> bytes:
        if frame.session_id != self._id:
            raise DamagedStream(f"While {doing}, a frame of another session arrived.")
        try:
            return opener.open(stream=frame.stream, counter=frame.counter, last=frame.last, ciphertext=frame.ciphertext)
        except SealError as error:
            raise DamagedStream(f"While {doing}: {error.message}") from error

    def _unary(self, method: str, request: Message, kind: type[M], doing: str) -> M:
        with self._lock:
            stream = self._next_stream()
            sealer = Sealer(self._keys, Sender.CLIENT, method, stream)
            frame = self._frame(sealer, stream, request.SerializeToString(), last=True)
            try:
                answer = getattr(self._stub, method)(frame, timeout=UNARY_SECONDS)
            except grpc.RpcError as error:
                raise refusal.translate(error, doing, self._address) from error
        opener = Opener(self._keys, Sender.AGENT, method, stream)
        plaintext = self._open(opener, answer, doing)
        if not opener.ended:
            raise DamagedStream(f"While {doing}, an incomplete answer arrived.")
        return _message(kind, plaintext, doing)

    def _stream(self, method: str, request: Message, kind: type[M], doing: str, seconds: float) -> Iterator[M]:
        with self._lock:
            stream = self._next_stream()
            sealer = Sealer(self._keys, Sender.CLIENT, method, stream)
            frame = self._frame(sealer, stream, request.SerializeToString(), last=True)
            call = getattr(self._stub, method)(frame, timeout=seconds)
            call.initial_metadata()
        opener = Opener(self._keys, Sender.AGENT, method, stream)
        try:
            yield from self._messages(call, opener, kind, doing)
        finally:
            call.cancel()

    def _messages(self, call: Any, opener: Opener, kind: type[M], doing: str) -> Iterator[M]:
        """The messages of a stream, up to the empty frame that ends it."""
        try:
            for frame in call:
                plaintext = self._open(opener, frame, doing)
                if not (opener.ended and not plaintext):
                    yield _message(kind, plaintext, doing)
        except grpc.RpcError as error:
            raise refusal.translate(error, doing, self._address) from error
        if not opener.ended:
            raise DamagedStream(f"While {doing}, the answer was truncated.")


class _Upload:
    """One stream of an asset. gRPC takes its frames in another thread; answers are read in the caller's."""

    def __init__(
        self,
        session: Session,
        start: agent_pb2.UploadStart,
        data: Callable[[], Iterator[bytes]],
        remaining: int,
    ) -> None:
        self._session = session
        self._start = start
        self._data = data
        self._seconds = _START_SECONDS + remaining / _SLOWEST
        self._go = threading.Event()
        self._wanted = False
        self._failure: Exception | None = None
        self._doing = f"uploading {start.asset}"

    def run(self) -> agent_pb2.UploadProgress:
        session, method = self._session, "UploadAsset"
        with session._lock:
            stream = session._next_stream()
            sealer = Sealer(session._keys, Sender.CLIENT, method, stream)
            call = session._stub.UploadAsset(self._frames(sealer, stream), timeout=self._seconds)
            call.initial_metadata()
        opener = Opener(session._keys, Sender.AGENT, method, stream)
        progress = None
        try:
            for progress in session._messages(call, opener, agent_pb2.UploadProgress, self._doing):
                if not self._go.is_set():
                    self._wanted = not progress.complete and progress.offset == self._start.offset
                    self._go.set()
        except refusal.CloisterError:
            if self._failure is not None:
                raise self._failure from None
            raise
        finally:
            self._go.set()
            call.cancel()
        if progress is None:
            raise DamagedStream(f"While {self._doing}, the agent did not acknowledge any data.")
        return progress

    def _frames(self, sealer: Sealer, stream: int) -> Iterator[agent_pb2.Sealed]:
        seal = self._session._frame
        yield seal(sealer, stream, agent_pb2.UploadChunk(start=self._start).SerializeToString(), last=False)
        self._go.wait(self._seconds)
        if self._wanted:
            try:
                for piece in self._data():
                    yield seal(sealer, stream, agent_pb2.UploadChunk(data=piece).SerializeToString(), last=False)
            except (OSError, refusal.CloisterError) as error:
                self._failure = error
                raise
        yield seal(sealer, stream, b"", last=True)


def _message(kind: type[M], plaintext: bytes, doing: str) -> M:
    try:
        return kind.FromString(plaintext)
    except DecodeError as error:
        raise DamagedStream(f"While {doing}, the agent sent a malformed {kind.__name__}.") from error
