"""The one place where calls are unsealed, checked and sealed: handlers behind it see typed messages.

On the wire every call is what the .proto says. Here each is served as a stream in both directions, because then its
handler starts before the first message: a peer that opens a call and sends nothing is dropped by a deadline.
"""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from agent_runtime.errors import Reason, Refusal, fault_location
from agent_runtime.limits import Limits
from agent_runtime.rpc.deadlines import Deadline, Deadlines
from agent_runtime.rpc.session import Session, Sessions
from cloister.protocol.sealing import Opener, Sealer, SealError, Sender
from cloister.v1 import agent_pb2

ERROR_METADATA = "cloister-error-bin"

Frames = Iterator[bytes]


@dataclass(frozen=True)
class PlainMethod:
    """A call that anyone may make, one message each way."""

    request: type[Message]
    handler: Callable[[Any], Message]


@dataclass(frozen=True)
class UnaryMethod:
    """A sealed call of one message each way: ``handler(session, request, call)``."""

    request: type[Message]
    handler: Callable[[Session, Any, "Call"], Message]


@dataclass(frozen=True)
class DownloadMethod:
    """A sealed call with a stream of answers: ``handler(session, request, call)``."""

    request: type[Message]
    handler: Callable[[Session, Any, "Call"], Iterator[Message]]


@dataclass(frozen=True)
class UploadMethod:
    """A sealed call with streams both ways: ``handler(session, requests, call)``."""

    request: type[Message]
    handler: Callable[[Session, Iterator[Any], "Call"], Iterator[Message]]


Method = PlainMethod | UnaryMethod | DownloadMethod | UploadMethod


class Call:
    """What a handler may know of its call."""

    def __init__(self, context: grpc.ServicerContext, deadline: Deadline) -> None:
        self._context = context
        self._deadline = deadline

    @property
    def ended(self) -> bool:
        """Whether the peer has gone."""
        return not self._context.is_active()

    def on_end(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when the call ends, in whatever way."""
        if not self._context.add_callback(wake):
            wake()

    def wait(self) -> None:
        """What follows waits for the agent, not for the peer: no deadline strikes."""
        self._deadline.clear()

    def cancel(self) -> None:
        """End the call with the status CANCELLED."""
        self._context.cancel()


class _PeerGone(Exception):
    """The peer ended the call, or a deadline did."""


class CallHandler(grpc.GenericRpcHandler):
    """Serves ``methods``, by full path (``/cloister.v1.Agent/Status``)."""

    def __init__(
        self, methods: Mapping[str, Method], *, sessions: Sessions, deadlines: Deadlines, limits: Limits
    ) -> None:
        self._methods = methods
        self._sessions = sessions
        self._deadlines = deadlines
        self._limits = limits
        self._long = threading.BoundedSemaphore(limits.long_calls)
        self._waiting = _WaitingCalls(limits.waiting_calls)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """What serves a path, or None (UNIMPLEMENTED)."""
        path = handler_call_details.method
        method = self._methods.get(path)
        if method is None:
            return None
        name = path.rpartition("/")[2]

        def behaviour(frames: Frames, context: grpc.ServicerContext) -> Iterator[bytes]:
            return self._answer(name, method, frames, context)

        return grpc.stream_stream_rpc_method_handler(behaviour)

    def _answer(self, name: str, method: Method, frames: Frames, context: grpc.ServicerContext) -> Iterator[bytes]:
        """The frames of the answer; a refusal ends the call with its status."""
        deadline = self._deadlines.deadline(context.cancel)
        deadline.set(self._limits.first_frame_seconds)
        try:
            with self._waiting.turn(deadline):
                first = _next(frames)
            if isinstance(method, PlainMethod):
                yield from self._plain(method, first, deadline)
            else:
                yield from self._sealed(name, method, first, frames, context, deadline)
            return
        except _PeerGone:
            return
        except Refusal as refusal:
            status = refusal
        except SealError as error:
            status = Refusal(Reason.FRAME, error.message)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text must reach neither peer nor console
            print(f"{name} failed: {fault_location(error)}", flush=True)
            status = Refusal(Reason.INTERNAL, "The agent could not carry out the call.")
        finally:
            deadline.clear()
        info = agent_pb2.ErrorInfo(reason=status.reason.value, metadata=status.metadata)
        context.set_trailing_metadata(((ERROR_METADATA, info.SerializeToString()),))
        context.abort(status.code, status.message)

    def _plain(self, method: PlainMethod, first: bytes, deadline: Deadline) -> Iterator[bytes]:
        request = _parse(method.request, first)
        deadline.set(self._limits.call_seconds)
        yield method.handler(request).SerializeToString()

    def _sealed(
        self,
        name: str,
        method: UnaryMethod | DownloadMethod | UploadMethod,
        frame: bytes,
        frames: Frames,
        context: grpc.ServicerContext,
        deadline: Deadline,
    ) -> Iterator[bytes]:
        first = _parse(agent_pb2.Sealed, frame)
        session = self._sessions.find(first.session_id)
        exchange = _Exchange(session, name, first, frames)
        # Only a frame that opens uses up its stream id: else anyone who sees a session's id could use them all up.
        session.take(first.stream)
        self._sessions.check(session)
        self._sessions.enter(session)
        try:
            context.send_initial_metadata(())
            call = Call(context, deadline)
            if isinstance(method, UnaryMethod):
                deadline.set(self._limits.call_seconds)
                answer = method.handler(session, exchange.only(method.request), call)
                yield exchange.seal(answer, last=True)
            else:
                yield from self._long_call(method, exchange, call, deadline)
        finally:
            self._sessions.leave(session)

    def _long_call(
        self, method: DownloadMethod | UploadMethod, exchange: "_Exchange", call: Call, deadline: Deadline
    ) -> Iterator[bytes]:
        if not self._long.acquire(blocking=False):
            raise Refusal(Reason.BUSY, "Too many calls are open; try again in a moment.")
        idle = self._limits.idle_stream_seconds
        try:
            if isinstance(method, DownloadMethod):
                answers = method.handler(exchange.session, exchange.only(method.request), call)
            else:
                requests = exchange.messages(method.request, lambda: deadline.set(idle))
                answers = method.handler(exchange.session, requests, call)
            for answer in answers:
                self._sessions.check(exchange.session)
                deadline.set(idle)
                yield exchange.seal(answer, last=False)
            deadline.set(idle)
            yield exchange.seal(None, last=True)
        finally:
            self._long.release()


class _WaitingCalls:
    """Calls whose first frame has not come. One too many ends the oldest: peers that keep still starve nobody."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._deadlines: dict[Deadline, None] = {}

    @contextlib.contextmanager
    def turn(self, deadline: Deadline) -> Generator[None]:
        """Wait here for the first frame of the call that ``deadline`` belongs to."""
        with self._lock:
            if len(self._deadlines) >= self._limit:
                oldest = next(iter(self._deadlines))
                del self._deadlines[oldest]
                oldest.expire()
            self._deadlines[deadline] = None
        try:
            yield
        finally:
            with self._lock:
                self._deadlines.pop(deadline, None)


class _Exchange:
    """One sealed call: the client's frames opened in their order, the agent's answers sealed."""

    def __init__(self, session: Session, method: str, first: agent_pb2.Sealed, frames: Frames) -> None:
        """Opens the first frame. Raises SealError."""
        self.session = session
        self._stream = first.stream
        self._frames = frames
        self._opener = Opener(session.keys, Sender.CLIENT, method, first.stream)
        self._sealer = Sealer(session.keys, Sender.AGENT, method, first.stream)
        self._first = self._open(first)

    def only(self, kind: type[Message]) -> Any:
        """The one message of a client that sends one."""
        if not self._opener.ended:
            raise SealError("The call's only frame does not say that it is the last.")
        return _parse(kind, self._first)

    def messages(self, kind: type[Message], before_wait: Callable[[], None]) -> Iterator[Any]:
        """The messages of a client that sends many. An empty last frame ends them and carries none."""
        plaintext = self._first
        while True:
            if plaintext or not self._opener.ended:
                yield _parse(kind, plaintext)
            if self._opener.ended:
                return
            before_wait()
            plaintext = self._open(_parse(agent_pb2.Sealed, _next(self._frames)))

    def seal(self, answer: Message | None, *, last: bool) -> bytes:
        """The next frame of the answer; None is the empty frame that ends a stream."""
        plaintext = b"" if answer is None else answer.SerializeToString()
        counter, ciphertext = self._sealer.seal(plaintext, last=last)
        return agent_pb2.Sealed(
            session_id=self.session.id, stream=self._stream, counter=counter, last=last, ciphertext=ciphertext
        ).SerializeToString()

    def _open(self, frame: agent_pb2.Sealed) -> bytes:
        return self._opener.open(
            stream=frame.stream, counter=frame.counter, last=frame.last, ciphertext=frame.ciphertext
        )


def _next(frames: Frames) -> bytes:
    """The next message of the call; one that ends without it is truncated."""
    try:
        frame = next(frames, None)
    except grpc.RpcError as error:
        raise _PeerGone from error
    if frame is None:
        raise SealError("The call ended before its last frame.")
    return frame


def _parse(kind: type[Message], data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise Refusal(Reason.MALFORMED, f"The call does not carry a {kind.DESCRIPTOR.name}.") from error
