"""Unseals, checks and seals calls. Handlers receive typed messages.

On the wire, calls are as the .proto declares them. On the server each is registered as a bidirectional stream: then its
handler starts before the first message, and a deadline can drop a peer that opens a call and sends nothing.
"""

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import Message

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.operations.counters import CallOutcome
from agent_runtime.operations.operations import Operations
from agent_runtime.rpc.buffers import Buffer, Buffers
from agent_runtime.rpc.deadlines import Deadline, Deadlines
from agent_runtime.rpc.exchange import Exchange, Frames, PeerGone, next_frame, parse, read
from agent_runtime.rpc.session import BoundSession, Sessions
from cloister.protocol.sealing import SealError
from cloister.v1 import agent_pb2

ERROR_METADATA = "cloister-error-bin"


@dataclass(frozen=True)
class PlainMethod:
    """A call without a session: one request, one answer."""

    request: type[Message]
    handler: Callable[[Any], Message]


@dataclass(frozen=True)
class UnaryMethod:
    """A sealed call with one request and one answer: ``handler(session, request, call)``."""

    request: type[Message]
    handler: Callable[[BoundSession, Any, "Call"], Message]


@dataclass(frozen=True)
class DownloadMethod:
    """A sealed call with one request; its answers are messages or bytes: ``handler(session, request, call)``."""

    request: type[Message]
    handler: Callable[[BoundSession, Any, "Call"], Iterator[Message | bytes]]


@dataclass(frozen=True)
class UploadMethod:
    """A sealed call with one request and then bytes, and a stream of answers: ``handler(session, request, pieces,
    call)``. The handler releases every piece.
    """

    request: type[Message]
    handler: Callable[[BoundSession, Any, Iterator[Buffer], "Call"], Iterator[Message]]


Method = PlainMethod | UnaryMethod | DownloadMethod | UploadMethod


class Call:
    """A call, as its handler sees it."""

    def __init__(self, context: grpc.ServicerContext, deadline: Deadline, stopping: threading.Event) -> None:
        self._context = context
        self._deadline = deadline
        self._stopping = stopping

    @property
    def ended(self) -> bool:
        """Whether the peer has gone, or the agent is being stopped."""
        return self._stopping.is_set() or not self._context.is_active()

    def on_end(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` when the call ends for any reason."""
        if not self._context.add_callback(wake):
            wake()

    def wait(self) -> None:
        """Suspend the deadline: what follows waits for the agent, not for the peer."""
        self._deadline.clear()

    def cancel(self) -> None:
        """End the call with the status CANCELLED."""
        self._context.cancel()


class CallHandler(grpc.GenericRpcHandler):
    """Serves ``methods``, by full path (``/cloister.v1.Agent/Status``)."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        *,
        sessions: Sessions,
        deadlines: Deadlines,
        limits: Limits,
        operations: Operations,
    ) -> None:
        self._methods = methods
        self._operations = operations
        self._sessions = sessions
        self._deadlines = deadlines
        self._limits = limits
        self._long = threading.BoundedSemaphore(limits.long_calls)
        self._waiting = _WaitingCalls(limits.waiting_calls)
        self._buffers = Buffers(limits.buffers)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of a path, or None (UNIMPLEMENTED)."""
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
        self._operations.counters.call_begun(name)
        status: CallRefusal | None = None
        outcome = CallOutcome.CANCELLED
        try:
            with self._waiting.turn(deadline):
                first = next_frame(frames)
            self._check_not_stopping()
            if isinstance(method, PlainMethod):
                yield from self._plain(method, first, deadline)
            else:
                yield from self._sealed(name, method, first, frames, context, deadline)
            outcome = CallOutcome.OK
            return
        except PeerGone:
            return
        except SealError as error:
            status = CallRefusal(Reason.FRAME, error.message)
        except Exception as error:  # noqa: BLE001 - its text must reach neither peer nor console
            status = self._operations.refusal_of(name, error)
        finally:
            deadline.end()
            self._operations.call_ended(name, outcome, status)
        info = agent_pb2.ErrorInfo(reason=status.reason.value, metadata=status.metadata)
        context.set_trailing_metadata(((ERROR_METADATA, info.SerializeToString()),))
        context.abort(status.code, status.message)

    def _check_not_stopping(self) -> None:
        if self._operations.stopping.is_set():
            raise CallRefusal(Reason.STOPPING, "The machine is being stopped; all that it holds will be gone.")

    def _until_stopping(self, items: Iterator[Any]) -> Iterator[Any]:
        """The items, until the agent is being stopped. Raises CallRefusal STOPPING then."""
        for item in items:
            yield item
            self._check_not_stopping()

    def _plain(self, method: PlainMethod, first: bytes, deadline: Deadline) -> Iterator[bytes]:
        request = parse(method.request, first)
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
        first = read(frame)
        session = self._sessions.find(first.session_id)
        exchange = Exchange(session, name, first, frames)
        # Only a frame that can be unsealed uses its stream id. Else anyone who sees a session id could use all ids.
        session.take(first.stream)
        self._sessions.check(session)
        self._sessions.enter(session)
        try:
            context.send_initial_metadata(())
            call = Call(context, deadline, self._operations.stopping)
            if isinstance(method, UnaryMethod):
                deadline.set(self._limits.call_seconds)
                answer = method.handler(session, exchange.only(method.request), call)
                yield exchange.seal(answer, last=True)
            else:
                yield from self._long_call(method, exchange, call, deadline)
        finally:
            self._sessions.leave(session)

    def _long_call(
        self, method: DownloadMethod | UploadMethod, exchange: Exchange, call: Call, deadline: Deadline
    ) -> Iterator[bytes]:
        if not self._long.acquire(blocking=False):
            raise CallRefusal(Reason.BUSY, "Too many calls are open. Try again in a moment.")
        idle = self._limits.idle_stream_seconds
        try:
            answers: Iterator[Message | bytes]
            if isinstance(method, DownloadMethod):
                answers = method.handler(exchange.session, exchange.only(method.request), call)
            else:
                pieces = exchange.pieces(self._buffers, before_wait=lambda: deadline.set(idle), after=deadline.clear)
                answers = method.handler(
                    exchange.session, exchange.start(method.request), self._until_stopping(pieces), call
                )
            for answer in self._until_stopping(answers):
                self._sessions.check(exchange.session)
                deadline.set(idle)
                yield exchange.seal(answer, last=False)
            if call.ended:
                # A call that follows events or logs has returned because of it.
                self._check_not_stopping()
            deadline.set(idle)
            yield exchange.seal(None, last=True)
        finally:
            self._long.release()


class _WaitingCalls:
    """Calls whose first frame has not arrived. Beyond the limit the oldest ends, so silent peers block no others."""

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
