"""Reading the event log of a CVM: every event is verified before it is returned."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cloister import userfile
from cloister.client.connection.connection import Connection, is_interruption
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.connection.retry import EVENT_PAUSES, Backoff
from cloister.client.files.event_log import evidence_path
from cloister.errors import CloisterError, ProofError
from cloister.protocol import canonical
from cloister.protocol.events import MAX_LOG, EventChain, Record
from cloister.protocol.progress import ComputationProgress, Phase
from cloister.userfile import FilePath


def follow_events(
    connection: Connection, *, follow: bool = True, until: frozenset[Phase] = frozenset()
) -> Iterator[Record]:
    """Yield the events of a computation from the first one on, across lost connections.

    Args:
        connection: of a party of the manifest, or of an owner.
        follow: wait for further events; otherwise end with the last one so far.
        until: with ``follow``, end when the computation reaches one of these phases. It always ends in a final state.

    Returns:
        The signed events, in order. Signature and chain of each are verified.

    Raises:
        ProofError: the policy rejects the CVM, or an event is not genuine.
        RefusedError: this key may not read the events.
        UnreachableError: no agent answers, or the CVM stays away.
    """
    return EventReader(connection).records(follow=follow, until=until)


def save_events(connection: Connection, log: FilePath, records: Sequence[Record]) -> Path:
    """Save an event log, and new evidence of the CVM beside it.

    Args:
        connection: to the CVM whose events these are. It is reopened, so that the evidence is newer than the events.
        log: the file of the log, one signed event per line.
        records: the events from the first one on.

    Returns:
        The file of the evidence, beside the log.

    Raises:
        InputError: a file cannot be written.
        CloisterError: the CVM shows no evidence that the policy accepts.
    """
    log = Path(log)
    connection.close()
    userfile.write_file(log, b"".join(record.encode() + b"\n" for record in records))
    evidence = evidence_path(log)
    userfile.write_file(evidence, connection.evidence().encode_json())
    return evidence


class EventReader:
    """Reads the event log of one boot of a CVM from the beginning, over as many sessions as necessary.

    ``progress`` is that of the events read so far.
    """

    def __init__(self, connection: Connection) -> None:
        self.progress = ComputationProgress()
        self._connection = connection
        self._chain: EventChain | None = None
        self._key = b""
        self._size = 0

    @property
    def count(self) -> int:
        """How many events were read."""
        return self._chain.count if self._chain is not None else 0

    def records(self, *, follow: bool, until: frozenset[Phase] = frozenset()) -> Iterator[Record]:
        """Further records; with ``follow`` until the computation reaches a phase of ``until`` or has ended.

        Raises ProofError when an event is not genuine, ConnectionLost when the CVM stays away.
        """
        backoff = Backoff(EVENT_PAUSES)
        while True:
            try:
                for raw in self._read(follow):
                    yield self._verified(raw)
                    backoff.reset()
                    if follow and (self.progress.phase in until or self.progress.final):
                        return
            except CloisterError as error:
                if isinstance(error, ConnectionLost) and error.deadline and follow:
                    time.sleep(EVENT_PAUSES[0])  # a peer may say at once that it is late
                    continue
                if not is_interruption(error):
                    raise
                self._connection.close()
                backoff.wait(error)
                continue
            if not follow or self.progress.final:
                return
            # The agent ended the stream before a final state: ask again, without flooding it.
            time.sleep(EVENT_PAUSES[0])

    def _read(self, follow: bool) -> Iterator[bytes]:
        session = self._connection.session()
        key = self._connection.evidence().event_log_key
        if self._chain is None:
            self._chain, self._key = EventChain(key), key
        elif key != self._key:
            raise ProofError(
                "The machine was restarted while its events were read, or its host shows another one: its "
                "event-log key has changed.",
                hint="It has nothing of this computation. Ask the owner to `run` the manifest again.",
            )
        return session.events(self._chain.count, follow=follow)

    def _verified(self, raw: bytes) -> Record:
        self._size += len(raw)
        if self._size > MAX_LOG:
            raise ProofError(f"The event log has more than {MAX_LOG} bytes.")
        try:
            record = Record.parse(raw)
        except canonical.FormatError as error:
            raise ProofError(f"The agent sent a malformed event: {error.message}") from error
        if self._chain is None:
            raise ProofError("An event arrived before the evidence.")
        self._chain.add(record)
        self.progress = self.progress.after(record.event)
        return record
