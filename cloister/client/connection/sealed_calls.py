"""Sealed calls of a session: the one place where the client seals and opens frames.

Every call is its own stream with a higher id than the one before; ids are never reused, and frames keep their order
(docs/protocol.md, "Sealed calls").
"""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from cloister.client.connection import refusal, unary
from cloister.client.connection.refusal import ConnectionLost, DamagedStream
from cloister.endpoint import Address
from cloister.errors import CloisterError
from cloister.pipeline import ReadAhead
from cloister.protocol import frame
from cloister.protocol.canonical import FormatError
from cloister.protocol.sealing import Opener, Sealer, SealError, Sender, SessionKeys
from cloister.v1 import agent_pb2

M = TypeVar("M", bound=Message)
Data = Callable[[], Iterator[bytes | memoryview]]
Sent = Callable[[int], None]

UNARY_SECONDS = 60.0
"""Deadline of a call with one answer. A machine without hardware virtualisation takes seconds for some."""

_FRAMES_AHEAD = 2
"""Sealed frames of an upload that wait for gRPC to send them."""


class SealedCalls:
    """Calls over ``channel`` with the keys of one session. Each raises CloisterError: Refusal, ConnectionLost or
    DamagedStream.
    """

    def __init__(self, channel: grpc.Channel, address: Address, session_id: str, keys: SessionKeys) -> None:
        self.channel = channel
        self.session_id = session_id
        self.keys = keys
        self.lock = threading.Lock()
        self.last_stream = 0
        self._address = address

    def next_stream(self) -> int:
        """Call with the lock held, and keep it until the agent has taken the stream's first frame."""
        self.last_stream += 1
        return self.last_stream

    def seal(self, sealer: Sealer, stream: int, plaintext: bytes | memoryview, *, last: bool) -> bytes:
        counter, ciphertext = sealer.seal(plaintext, last=last)
        return frame.encode(
            session_id=self.session_id, stream=stream, counter=counter, last=last, ciphertext=ciphertext
        )

    def _open(self, opener: Opener, data: bytes, doing: str) -> bytes:
        try:
            found = frame.decode(data)
            if found.session_id != self.session_id:
                raise DamagedStream(f"While {doing}, a frame of another session arrived.")
            return opener.open(stream=found.stream, counter=found.counter, last=found.last, ciphertext=found.ciphertext)
        except (SealError, FormatError) as error:
            raise DamagedStream(f"While {doing}: {error.message}") from error

    def unary(self, method: str, request: Message, kind: type[M], doing: str) -> M:
        with self.lock:
            stream = self.next_stream()
            sealer = Sealer(self.keys, Sender.CLIENT, method, stream)
            sealed = self.seal(sealer, stream, request.SerializeToString(), last=True)
            call = self.channel.unary_unary(unary.path(method))
            with _open_channel(doing):
                answer = unary.call(call, sealed, seconds=UNARY_SECONDS, doing=doing, address=self._address)
        opener = Opener(self.keys, Sender.AGENT, method, stream)
        plaintext = self._open(opener, answer, doing)
        if not opener.ended:
            raise DamagedStream(f"While {doing}, an incomplete answer arrived.")
        return message(kind, plaintext, doing)

    def stream(self, method: str, request: Message, kind: type[M], doing: str, seconds: float) -> Iterator[M]:
        with contextlib.closing(self.frames(method, request, doing, seconds)) as frames:
            for plaintext in frames:
                yield message(kind, plaintext, doing)

    def frames(self, method: str, request: Message, doing: str, seconds: float) -> Generator[bytes, None, None]:
        """The plaintexts of the answer to a call with one request."""
        with self.lock:
            stream = self.next_stream()
            sealer = Sealer(self.keys, Sender.CLIENT, method, stream)
            sealed = self.seal(sealer, stream, request.SerializeToString(), last=True)
            with _open_channel(doing):
                call = self.channel.unary_stream(unary.path(method))(sealed, timeout=seconds)
            call.initial_metadata()
        opener = Opener(self.keys, Sender.AGENT, method, stream)
        try:
            yield from self.answers(call, opener, doing)
        finally:
            call.cancel()

    def upload(self, start: agent_pb2.UploadStart, data: Data, sent: Sent, seconds: float) -> agent_pb2.UploadProgress:
        """Send an asset's bytes, as :meth:`Session.upload_asset`, within ``seconds``."""
        return _Upload(self, start, data, sent, seconds).run()

    def answers(self, call: Any, opener: Opener, doing: str) -> Iterator[bytes]:
        """The plaintexts of an answer's frames, up to the empty frame that ends it."""
        try:
            for data in call:
                plaintext = self._open(opener, data, doing)
                if not (opener.ended and not plaintext):
                    yield plaintext
        except grpc.RpcError as error:
            raise refusal.translate(error, doing, self._address) from None
        if not opener.ended:
            raise DamagedStream(f"While {doing}, the answer was truncated.")


class _Upload:
    """One stream of an asset. A thread reads and seals ahead, gRPC's sends, and the caller's reads the answers."""

    def __init__(
        self, calls: "SealedCalls", start: agent_pb2.UploadStart, data: Data, sent: Sent, seconds: float
    ) -> None:
        self._calls = calls
        self._start = start
        self._data = data
        self._sent = sent
        self._seconds = seconds
        self._go = threading.Event()
        self._wanted = False
        self._failed: Exception | None = None
        self._doing = f"uploading {start.asset}"

    def run(self) -> agent_pb2.UploadProgress:
        calls, method = self._calls, "UploadAsset"
        progress = None
        with calls.lock:
            stream = calls.next_stream()
            sealer = Sealer(calls.keys, Sender.CLIENT, method, stream)
            frames = ReadAhead(self._frames(sealer, stream), _FRAMES_AHEAD)
            try:
                with _open_channel(self._doing):
                    call = calls.channel.stream_stream(unary.path(method))(self._taken(frames), timeout=self._seconds)
                call.initial_metadata()
            except BaseException:
                self._go.set()
                frames.close()
                raise
        opener = Opener(calls.keys, Sender.AGENT, method, stream)
        try:
            for answer in calls.answers(call, opener, self._doing):
                progress = message(agent_pb2.UploadProgress, answer, self._doing)
                if not self._go.is_set():
                    self._wanted = not progress.complete and progress.offset == self._start.offset
                    self._go.set()
        except CloisterError:
            # What went wrong here ended the call: the agent's word on that is not the reason.
            for failed in (frames.error, self._failed):
                if failed is not None:
                    raise failed from None
            raise
        finally:
            self._go.set()
            call.cancel()
            frames.close()
        if progress is None:
            raise DamagedStream(f"While {self._doing}, the agent did not acknowledge any data.")
        return progress

    def _frames(self, sealer: Sealer, stream: int) -> Iterator[tuple[bytes, int]]:
        """Every frame, and how many bytes of the asset are in it."""
        seal = self._calls.seal
        yield seal(sealer, stream, self._start.SerializeToString(), last=False), 0
        self._go.wait(self._seconds)
        if self._wanted:
            for piece in self._data():
                yield seal(sealer, stream, piece, last=False), len(piece)
        yield seal(sealer, stream, b"", last=True), 0

    def _taken(self, frames: Iterator[tuple[bytes, int]]) -> Iterator[bytes]:
        for data, size in frames:
            yield data
            if size:
                try:
                    self._sent(size)
                except Exception as error:
                    self._failed = error
                    raise


@contextlib.contextmanager
def _open_channel(doing: str) -> Generator[None, None, None]:
    """Raise ConnectionLost where gRPC raises ValueError: another thread has closed the channel."""
    try:
        yield
    except ValueError as error:
        said = f"{doing[0].upper()}{doing[1:]} failed: the connection was closed."
        raise ConnectionLost(said, hint="Run the command again.") from error


def message(kind: type[M], plaintext: bytes, doing: str) -> M:
    try:
        return kind.FromString(plaintext)
    except DecodeError as error:
        raise DamagedStream(f"While {doing}, the agent sent a malformed {kind.__name__}.") from error
