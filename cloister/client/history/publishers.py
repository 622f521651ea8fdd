"""The statements of publishers that this client has seen for a session: no older one counts any more.

One log for each publisher's key, of the form of ``log.py``, and beside it, in a folder of its own, the statements
themselves, so that the verifier checks the signature of what is remembered, too.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.collateral_source import FILE, SEEN_STATEMENT, CollateralItem, InMemory, Origin
from cloister.attestation.policy.statements import PublisherPolicy
from cloister.attestation.statements.newest import newest
from cloister.attestation.statements.statement import ImageStatement
from cloister.client.collateral.folder import collect
from cloister.client.files import state
from cloister.client.history.documents import keep_document, kept_bytes
from cloister.client.history.entry import Accepted, AcceptedHow, AcceptedKind, HistoryEntry
from cloister.client.history.log import SUFFIX, HistoryLog
from cloister.errors import InputError
from cloister.protocol.signingkey import key_id

FOLDER = "publishers"
BUSY = "Another command is noting a publisher's statement"

_NAME = re.compile(r"([0-9a-f]{64})\.jsonl")
_REMEMBERED = Origin(FILE, "what this client remembers")


@dataclass(frozen=True)
class PublisherHistory:
    """The statements of one publisher, by the id of its key, in the order in which they were seen."""

    key: str
    entries: tuple[HistoryEntry, ...]

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"key": self.key, "entries": [one.value() for one in self.entries]}


def read_publishers() -> tuple[PublisherHistory, ...]:
    """What was seen of each publisher. Raises InputError when a log was changed or cut, or cannot be read."""
    return tuple(PublisherHistory(key, tuple(log.entries)) for key, log in _logs())


def remembered_statements() -> InMemory:
    """The last statement seen of each publisher, as collateral.

    Raises InputError when a log was changed or cut, or a statement is gone: an older one would pass unnoticed.
    """
    found: list[CollateralItem] = []
    for _, log in _logs():
        for entry in log.entries[-1:]:
            content = kept_bytes(_kept(log), entry.accepted.digest)
            if content is None:
                raise InputError(
                    f"The statement {entry.accepted.digest} that {log.at} names is missing or was changed.",
                    hint=f"Find out who changed {log.at.parent}. To go on without what it remembers, move it away.",
                )
            found.append(CollateralItem(SEEN_STATEMENT, content))
    return collect(found, _REMEMBERED)


def remember_statement(publisher: PublisherPolicy, statements: Iterable[bytes]) -> None:
    """Note the newest of ``statements`` that the publisher has signed, if it is newer than what was seen.

    Raises InputError if another command has seen a newer one meanwhile, or if it cannot be noted.
    """
    parsed = [(ImageStatement.parse(content), content) for content in statements]
    found = newest((one for one, _ in parsed), publisher.key)
    if found is None:
        return
    content = next(content for one, content in parsed if one is found.statements[0])
    terms = hashlib.sha256(found.statements[0].envelope.payload).hexdigest()
    counter = found.life.counter
    at = state.folder(FOLDER) / f"{key_id(publisher.key)}{SUFFIX}"
    with state.locked(at, BUSY):
        log = HistoryLog(at)
        log.load()
        last = log.entries[-1].accepted if log.entries else None
        if last is not None and (int(last.label) > counter or (int(last.label) == counter and last.terms != terms)):
            raise InputError(
                f"Another command has seen a newer statement of {publisher.name} than the one with counter {counter}.",
                hint="Put the publisher's newest statement into the folder of --collateral, and run it again.",
            )
        if last is not None and int(last.label) == counter:
            return
        one = Accepted(AcceptedKind.STATEMENT, publisher.name, hashlib.sha256(content).hexdigest(), terms, str(counter))
        keep_document(_kept(log), one.digest, content)
        log.append([(one, AcceptedHow.FIRST if last is None else AcceptedHow.KNOWN)])


def _kept(log: HistoryLog) -> Path:
    """The folder of a log's statements: those of other publishers would push its last one out."""
    return log.at.with_suffix("")


def _logs() -> Iterator[tuple[str, HistoryLog]]:
    """Every log with the id of its key, loaded. One that was removed is known by its head."""
    folder = state.folder(FOLDER)
    for name in sorted(_names(folder)):
        if found := _NAME.fullmatch(name):
            log = HistoryLog(folder / name)
            with state.locked(log.at, BUSY):
                log.load()
            yield found[1], log


def _names(folder: Path) -> set[str]:
    try:
        return {one.with_suffix(SUFFIX).name for one in folder.iterdir() if one.suffix in (SUFFIX, ".head")}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise userfile.unreadable(folder, error) from error
