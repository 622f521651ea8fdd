"""Reading what the algorithm printed, after the run or while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.refusal import ConnectionLost, DamagedStream
from cloister.client.connection.retry import EVENT_PAUSES, Backoff
from cloister.client.html.fragment import fragment
from cloister.client.html.parts import Output, one_line
from cloister.errors import CloisterError, ProofError
from cloister.protocol import text

MAX_LOGS = 64 * 1024 * 1024
"""Bytes of the algorithm's output that a manifest can let its readers have."""


def read_logs(connection: Connection, show: Callable[[bytes], object], *, follow: bool = False) -> bool:
    """Read what the algorithm printed, across lost connections.

    Args:
        connection: of a log reader.
        show: called with the output, piece by piece. It comes from an untrusted program: replace control characters
            before printing it.
        follow: wait until the run is over. With `release: live` in the manifest the output comes while the algorithm
            runs, otherwise afterwards.

    Returns:
        Whether the algorithm printed more than the manifest lets its readers have.

    Raises:
        CloisterError: the policy rejects the CVM, the manifest does not let this key read, or no agent answers.
    """
    reader = _LogReader(connection, show)
    backoff = Backoff(EVENT_PAUSES)
    while True:
        before = reader.offset
        try:
            return reader.read(follow=follow)
        except CloisterError as error:
            if reader.offset > before:
                backoff.reset()
            if isinstance(error, ConnectionLost) and error.deadline and follow:
                time.sleep(EVENT_PAUSES[0])  # a peer may say at once that it is late
                continue
            if not is_interruption(error):
                raise
            connection.close()
            backoff.wait(error)


@dataclass(frozen=True, repr=False)
class ProgramLog:
    """What the algorithm printed: the bytes, and whether there was more than the manifest lets its readers have."""

    data: bytes
    truncated: bool

    def __str__(self) -> str:
        """The text, without control characters: an algorithm is not trusted with its reader's terminal."""
        return text.printable(self.data.decode("utf-8", "replace"), keep="\n\t")

    def __repr__(self) -> str:
        return one_line(
            f"ProgramLog of {len(self.data)} bytes{', truncated' if self.truncated else ''}: print it to read it"
        )

    def _repr_html_(self) -> str:
        said = "What the algorithm printed" + (", truncated at the manifest's limit" if self.truncated else "")
        return fragment(said, Output(str(self)))


def collect_logs(connection: Connection, *, follow: bool = False) -> ProgramLog:
    """Read what the algorithm printed into memory: at most as much as the manifest allows. As :func:`read_logs`."""
    pieces: list[bytes] = []
    truncated = read_logs(connection, pieces.append, follow=follow)
    return ProgramLog(b"".join(pieces), truncated)


class _LogReader:
    """Reads the logs of one boot of a CVM, over as many sessions as necessary. ``offset`` is what was read so far."""

    def __init__(self, connection: Connection, show: Callable[[bytes], object]) -> None:
        self.offset = 0
        self._connection = connection
        self._show = show
        self._key = b""

    def read(self, *, follow: bool) -> bool:
        """Read to the end. Whether the output was truncated at the manifest's limit."""
        session = self._connection.session()
        key = self._connection.evidence().event_log_key
        if self._key not in (b"", key):
            raise ProofError(
                "The machine was restarted while its logs were read, or its host shows another one: its "
                "event-log key has changed.",
                hint="It has nothing of this computation. Ask the owner to `run` the manifest again.",
            )
        self._key = key
        truncated = False
        for chunk in session.logs(self.offset, follow=follow):
            self.offset += len(chunk.data)
            if self.offset > MAX_LOGS:
                raise DamagedStream(f"The agent sent more than the {MAX_LOGS} bytes that logs can have.")
            if chunk.data:
                self._show(chunk.data)
            truncated = truncated or chunk.truncated
        return truncated
