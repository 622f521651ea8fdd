"""One sealed call on the wire: opens the client's frames in order, and seals the agent's answers."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.rpc.buffers import Buffer, Buffers
from agent_runtime.rpc.session import BoundSession
from cloister.protocol import frame
from cloister.protocol.canonical import FormatError
from cloister.protocol.frame import Frame
from cloister.protocol.sealing import Opener, Sealer, SealError, Sender

Frames = Iterator[bytes]


class PeerGone(Exception):
    """The peer or a deadline ended the call."""


class Exchange:
    """The frames of one call in both directions."""

    def __init__(self, session: BoundSession, method: str, first: Frame, frames: Frames) -> None:
        """Unseal the first frame. Raises SealError."""
        self.session = session
        self._stream = first.stream
        self._frames = frames
        self._opener = Opener(session.keys, Sender.CLIENT, method, first.stream)
        self._sealer = Sealer(session.keys, Sender.AGENT, method, first.stream)
        self._first = self._opener.open(
            stream=first.stream, counter=first.counter, last=first.last, ciphertext=first.ciphertext
        )

    def only(self, message_type: type[Message]) -> Any:
        """The message of a call with one request."""
        if not self._opener.ended:
            raise SealError("The call's only frame is not marked as the last one.")
        return parse(message_type, self._first)

    def start(self, message_type: type[Message]) -> Any:
        """The message that begins a call with many frames."""
        return parse(message_type, self._first)

    def pieces(
        self, buffers: Buffers, *, before_wait: Callable[[], None], after: Callable[[], None]
    ) -> Iterator[Buffer]:
        """The bytes that follow the first message, a frame in a buffer each, which the caller releases.

        ``before_wait`` is called before the peer is waited for, ``after`` when its frame is here.
        """
        while not self._opener.ended:
            before_wait()
            found = read(next_frame(self._frames))
            after()
            buffer = buffers.take()
            try:
                buffer.size = self._opener.open_into(
                    buffer.room,
                    stream=found.stream,
                    counter=found.counter,
                    last=found.last,
                    ciphertext=found.ciphertext,
                )
                if not buffer.size and not found.last:
                    raise CallRefusal(Reason.MALFORMED, "A frame of an upload has no data and is not the last one.")
            except BaseException:
                buffer.release()
                raise
            if buffer.size:
                yield buffer
            else:
                buffer.release()

    def seal(self, answer: Message | bytes | None, *, last: bool) -> bytes:
        """The next frame of the answer; None is the empty frame that ends a stream."""
        plaintext = answer.SerializeToString() if isinstance(answer, Message) else answer or b""
        counter, ciphertext = self._sealer.seal(plaintext, last=last)
        return frame.encode(
            session_id=self.session.id, stream=self._stream, counter=counter, last=last, ciphertext=ciphertext
        )


def next_frame(frames: Frames) -> bytes:
    """The next frame of the call. Raises SealError when the call ends without one."""
    try:
        found = next(frames, None)
    except grpc.RpcError as error:
        raise PeerGone from error
    if found is None:
        raise SealError("The call ended before its last frame.")
    return found


def read(data: bytes) -> Frame:
    """A frame. Raises CallRefusal MALFORMED."""
    try:
        return frame.decode(data)
    except FormatError as error:
        raise CallRefusal(Reason.MALFORMED, "The call carries no valid Sealed.") from error


def parse(message_type: type[Message], data: bytes) -> Any:
    """A message. Raises CallRefusal MALFORMED."""
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise CallRefusal(Reason.MALFORMED, f"The call carries no valid {message_type.DESCRIPTOR.name}.") from error
