"""The sealing of calls inside a session: keys, frames, and the order that they must keep."""

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from cloister.errors import CloisterError
from cloister.protocol.transcript import fixed, sized

FRAME_SIZE = 1024 * 1024
"""Bytes of plaintext in a frame of an asset or a result."""

TAG_SIZE = 16
MAX_FRAME = FRAME_SIZE + 4096 + TAG_SIZE
"""Bytes of ciphertext of the largest frame."""


class SealError(CloisterError):
    """A frame is out of order, repeated, truncated, of another stream, or cannot be decrypted."""

    remedy = "Run the command again; if it fails again, something between you and the CVM changes the traffic."


class Sender(Enum):
    """Who sends a frame, and seals it."""

    CLIENT = b"client"
    AGENT = b"agent"


@dataclass(frozen=True)
class SessionKeys:
    """The two direction keys of a session (32 bytes each) and the manifest digest that it is bound to."""

    client: bytes
    agent: bytes
    manifest_digest: bytes

    @classmethod
    def derive(cls, *, transcript: bytes, secret: bytes, manifest_digest: bytes) -> Self:
        """HKDF-SHA256 with the transcript as salt and the session secret as input, one key per direction."""

        def key(sender: Sender) -> bytes:
            info = b"cloister/v1/direction\0" + sender.value
            return HKDF(hashes.SHA256(), 32, salt=fixed(transcript, 64), info=info).derive(fixed(secret, 32))

        return cls(key(Sender.CLIENT), key(Sender.AGENT), fixed(manifest_digest, 32))

    def stream(self, sender: Sender, method: str, stream: int) -> bytes:
        """The key of one stream; ``method`` is the call's bare name (``Status``), ``stream`` its id."""
        info = b"stream\0" + sized(method.encode()) + self.manifest_digest + struct.pack(">Q", stream)
        key = self.client if sender is Sender.CLIENT else self.agent
        return HKDFExpand(hashes.SHA256(), 32, info).derive(key)


def _associated(method: str, stream: int, counter: int, last: bool) -> bytes:
    return sized(method.encode()) + struct.pack(">QQ?", stream, counter, last)


class Sealer:
    """Seals the frames of one stream in one direction; the last frame is marked as the last."""

    def __init__(self, keys: SessionKeys, sender: Sender, method: str, stream: int) -> None:
        self._cipher = AESGCM(keys.stream(sender, method, stream))
        self._method = method
        self._stream = stream
        self._next = 0
        self._ended = False

    def seal(self, plaintext: bytes | memoryview, *, last: bool) -> tuple[int, bytes]:
        """The counter and ciphertext of the next frame."""
        if self._ended:
            raise SealError("No frame can follow the last frame of its stream.")
        counter = self._next
        self._next += 1
        self._ended = last
        nonce = counter.to_bytes(12, "big")
        return counter, self._cipher.encrypt(nonce, plaintext, _associated(self._method, self._stream, counter, last))


class Opener:
    """Opens the frames of one stream in one direction, in order; ``ended`` is true after the last one."""

    def __init__(self, keys: SessionKeys, sender: Sender, method: str, stream: int) -> None:
        self._cipher = AESGCM(keys.stream(sender, method, stream))
        self._method = method
        self._stream = stream
        self._next = 0
        self.ended = False

    def open(self, *, stream: int, counter: int, last: bool, ciphertext: bytes | memoryview) -> bytes:
        """The plaintext of a frame. After a SealError the stream has ended."""
        plaintext = bytearray(max(0, len(ciphertext) - TAG_SIZE))
        self.open_into(plaintext, stream=stream, counter=counter, last=last, ciphertext=ciphertext)
        return bytes(plaintext)

    def open_into(
        self, target: bytearray | memoryview, *, stream: int, counter: int, last: bool, ciphertext: bytes | memoryview
    ) -> int:
        """Write the plaintext of a frame to the beginning of ``target``, and return its size.

        ``target`` needs room for ``len(ciphertext) - TAG_SIZE`` bytes. After a SealError the stream has ended, and
        the bytes in ``target`` mean nothing.
        """
        if self.ended:
            raise SealError("A frame arrived after the end of its stream.")
        # Until the frame is accepted.
        self.ended = True
        if stream != self._stream or counter != self._next:
            raise SealError(f"A frame arrived out of order: stream {stream}, counter {counter}.")
        size = len(ciphertext) - TAG_SIZE
        if size > len(target) or len(ciphertext) > MAX_FRAME:
            most = min(len(target) + TAG_SIZE, MAX_FRAME)
            raise SealError(f"A frame has {len(ciphertext)} bytes; at most {most} are allowed.")
        try:
            nonce = counter.to_bytes(12, "big")
            associated = _associated(self._method, stream, counter, last)
            if size < 0:
                raise InvalidTag
            self._cipher.decrypt_into(nonce, ciphertext, associated, memoryview(target)[:size])
        except InvalidTag as error:
            raise SealError("A frame cannot be decrypted: it was changed, or it belongs to another session.") from error
        self._next += 1
        self.ended = last
        return size
