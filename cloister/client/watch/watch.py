"""Watching a computation to its end: across lost connections, restarts of the machine and of the watcher."""

import contextlib
import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Sequence

from cloister.client.computation.events import EventReader
from cloister.client.connection.connection import Connection
from cloister.client.connection.opening import attest
from cloister.client.connection.refusal import reason_of
from cloister.client.connection.report import TransferReport
from cloister.client.watch.command import tell
from cloister.client.watch.news import News, NewsDesk
from cloister.client.watch.told import ToldNews
from cloister.errors import CloisterError, InputError, ProofError, UnreachableError
from cloister.protocol.manifest import Manifest
from cloister.protocol.signingkey import key_id

PAUSES = (2.0, 5.0, 10.0, 30.0)
"""Seconds before further attempts to reach a machine; the last one again and again."""

_PASSING = ("BUSY", "STOPPING", "NO_EVIDENCE")
"""Refusals after which the same machine may answer."""


class WatchReport(TransferReport):
    """Also reports what is awaited. ``interrupted`` is called when the command failed, before it is told again."""

    def awaiting(self, said: str) -> None:
        """Called with a sentence, once, when there is nothing to read for a while."""


def watch_computation(
    connection: Connection,
    manifest: Manifest,
    *,
    command: Sequence[str] = (),
    report: WatchReport | None = None,
) -> Iterator[News]:
    """Yield news of a computation as it comes: from before the manifest is submitted until the computation has ended.

    Args:
        connection: of a party of the manifest, or of an owner; it must demand this manifest.
        manifest: the manifest that all parties agreed on.
        command: the words of a command, as :func:`parse_command` returns them, that is told each piece of news before
            it is yielded. News that it was told before, by an earlier call, are not told or yielded again.
        report: called on the way; None for no reports.

    Returns:
        The news. What was done before the call is not news: of what is past, only what still waits for the party.

    Raises:
        InputError: the key has no part in the manifest, or what the command was told cannot be remembered.
        ProofError: the policy rejects the machine, or an event is not genuine.
        RefusedError: this key may not read the events.
        UnreachableError: no agent answers the first time. Later the machine may stay away for any time.
        CloisterError: the command failed several times.
    """
    return _Watch(connection, manifest, tuple(command), report or WatchReport()).news()


class _Watch:
    """One call. A machine that restarts is watched again from its first event on."""

    def __init__(self, connection: Connection, manifest: Manifest, command: Sequence[str], report: WatchReport) -> None:
        self._connection = connection
        self._manifest = manifest
        self._command = command
        self._report = report
        self._reached = False
        self._said = ""

    def news(self) -> Iterator[News]:
        key = self._connection.key
        owners = self._connection.target.policy.boot_configuration.owners
        if not self._manifest.names(key.public) and key.id not in owners:
            raise InputError(
                "Your key is not among the parties of this manifest, and your policy does not name it as an owner.",
                hint="Name another key with --key, or another manifest with --manifest.",
            )
        while True:
            self._await_manifest()
            key = self._connection.evidence().event_log_key
            reader = EventReader(self._connection)
            with self._told(key) as told:
                yield from self._boot(reader, self._desk(key), key, told)
            if reader.progress.final:
                return

    def _boot(self, reader: EventReader, desk: NewsDesk, key: bytes, told: ToldNews | None) -> Iterator[News]:
        """The news of one boot. Ends with the computation, or when the machine was restarted."""
        past: list[News] | None = []
        while True:
            try:
                if past is not None:
                    for record in reader.records(follow=False):
                        past += filter(None, [desk.news(record)])
                    standing, past = [one for one in past if desk.stands(one)], None
                    yield from self._tell(standing, told)
                for record in reader.records(follow=True):
                    self._said = ""
                    yield from self._tell(filter(None, [desk.news(record)]), told)
                return
            except (UnreachableError, ProofError) as error:
                self._connection.close()
                if isinstance(error, UnreachableError):
                    self._say(f"{error.message} Watching again when the machine answers.")
                if self._await_answer() != key:
                    yield from self._tell([desk.restarted()], told)
                    return
                if isinstance(error, ProofError):
                    raise

    def _tell(self, several: Iterable[News], told: ToldNews | None) -> Iterator[News]:
        for one in several:
            if told is not None:
                if one.id in told:
                    continue
                tell(self._command, one, self._report.interrupted)
                told.add(one.id)
            yield one

    def _await_manifest(self) -> None:
        """Open a session with the machine when it runs the manifest. Raises CloisterError for a rejected machine."""
        for pause in _pauses():
            try:
                self._connection.session()
                self._reached = True
                return
            except ProofError:
                self._require_other_manifest()
            except CloisterError as error:
                self._require_passing(error)
            time.sleep(pause)

    def _await_answer(self) -> bytes:
        """The event-log key (SPKI) of the machine when it answers. Raises CloisterError for a rejected machine."""
        for pause in _pauses():
            try:
                return self._require_other_manifest()
            except ProofError:
                raise
            except CloisterError as error:
                self._require_passing(error)
            time.sleep(pause)
        return b""

    def _require_passing(self, error: CloisterError) -> None:
        """Raise the error unless the machine was reached before, and may answer again."""
        if not (self._reached and (isinstance(error, UnreachableError) or reason_of(error) in _PASSING)):
            raise error
        self._say(f"{error.message} Watching again when the machine answers.")

    def _require_other_manifest(self) -> bytes:
        """The event-log key, if the policy accepts the machine, or all of it but the manifest, or that it has none."""
        with attest(self._connection.target) as opening:
            self._reached = True
            if [check.name for check in opening.verdict.failures] != ["manifest"]:
                opening.verdict.require_accepted()
            elif opening.binding.manifest_digest is None:
                self._say("The machine has no manifest yet. Waiting until the owner submits yours.")
            else:
                self._say("The machine runs another manifest. Waiting for yours.")
            return opening.evidence.event_log_key

    def _desk(self, key: bytes) -> NewsDesk:
        configuration = self._connection.verdict().claims.boot_configuration
        return NewsDesk(
            self._manifest,
            self._connection.key.public,
            key,
            is_owner=self._connection.key.id in configuration.owners,
            workspace=configuration.workspace,
            cvm=configuration.cvm,
        )

    def _say(self, said: str) -> None:
        if said != self._said:
            self._said = said
            self._report.awaiting(said)

    @contextlib.contextmanager
    def _told(self, key: bytes) -> Generator[ToldNews | None]:
        if not self._command:
            yield None
            return
        with ToldNews.of(self._connection.key.id, key_id(key), self._command) as told:
            yield told


def _pauses() -> Iterator[float]:
    """Seconds before each further attempt; the last pause again and again."""
    return itertools.chain(PAUSES, itertools.repeat(PAUSES[-1]))
