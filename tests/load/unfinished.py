"""Peers that begin calls and never finish a message: each sends as much as HTTP/2's windows allow (RFC 9113)."""

import select
import ssl
import struct
import time

from cloister.endpoint import Address
from cloister.protocol.sealing import FRAME_SIZE
from tests.load.peers import PREFACE, tls

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_HEADERS, ACK = 4, 1
_INITIAL_WINDOW = 4
"""The identifier of SETTINGS_INITIAL_WINDOW_SIZE."""

_PART = 16 * 1024
_PATH = b"/cloister.v1.Agent/OpenSession"


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


_HEADERS = b"".join(
    (
        b"\x83\x87\x04" + _text(_PATH),  # RFC 7541: POST, https, and names of the static table with values of their own
        b"\x01" + _text(b"agent"),
        b"\x0f\x10" + _text(b"application/grpc"),
        b"\x00" + _text(b"te") + _text(b"trailers"),
    )
)
_MESSAGE = b"\0" + FRAME_SIZE.to_bytes(4)
"""The head of a gRPC message, of as many bytes as the largest frame."""


class Unfinished:
    """One connection with so many calls."""

    def __init__(self, address: Address, streams: int) -> None:
        self.socket = tls(address)
        self.sent = 0
        self._window = self._initial = 65_535
        self._windows: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._received = b""
        self.socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, b""))
        for stream in range(1, 2 * streams, 2):
            self.socket.sendall(_frame(HEADERS, END_HEADERS, stream, _HEADERS))
            self._windows[stream], self._left[stream] = self._initial, FRAME_SIZE - 1

    def go_on(self) -> None:
        """Read what has come, and send what the windows allow. Raises OSError when the connection has ended."""
        while self.socket.pending() or select.select([self.socket], [], [], 0)[0]:
            self._take(self.socket.recv(65_536))
        for stream, window in self._windows.items():
            size = min(_PART, self._window, window, self._left[stream])
            if size > len(_MESSAGE):
                head = _MESSAGE if self._left[stream] == FRAME_SIZE - 1 else b""
                self.socket.sendall(_frame(DATA, 0, stream, head + bytes(size - len(head))))
                self._window -= size
                self._windows[stream] -= size
                self._left[stream] -= size
                self.sent += size

    def _take(self, data: bytes) -> None:
        if not data:
            raise ConnectionError
        self._received += data
        while len(self._received) >= 9 and len(self._received) >= (end := 9 + int.from_bytes(self._received[:3])):
            kind, flags = self._received[3:5]
            stream = int.from_bytes(self._received[5:9]) & 0x7FFFFFFF
            self._frame(kind, flags, stream, self._received[9:end])
            self._received = self._received[end:]

    def _frame(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", body):
                if name == _INITIAL_WINDOW:
                    self._windows = {one: size + value - self._initial for one, size in self._windows.items()}
                    self._initial = value
            self.socket.sendall(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(_frame(PING, ACK, 0, body))
        elif kind == WINDOW_UPDATE:
            size = int.from_bytes(body) & 0x7FFFFFFF
            if stream == 0:
                self._window += size
            elif stream in self._windows:
                self._windows[stream] += size


def unfinished(address: Address, connections: int, streams: int, seconds: float) -> int:
    """So many connections with so many calls each, for some seconds. Returns the bytes that were sent."""
    peers = [Unfinished(address, streams) for _ in range(connections)]
    open_ones, end = list(peers), time.monotonic() + seconds
    while open_ones and time.monotonic() < end:
        for peer in list(open_ones):
            try:
                peer.go_on()
            except (OSError, ssl.SSLError):
                open_ones.remove(peer)
    for peer in peers:
        peer.socket.close()
    return sum(peer.sent for peer in peers)
