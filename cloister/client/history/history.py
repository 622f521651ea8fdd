"""Compares what a machine and a manifest have with what the party accepted before in the same workspace.

What is new is noted, what changed needs a yes, and nothing is bound or sent before.
"""

import contextlib
import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister.attestation.collateral_source import STATEMENT, Collateral
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.client.files import state
from cloister.client.files.differences import differences
from cloister.client.files.keys import Key
from cloister.client.history.documents import keep_document, kept_document
from cloister.client.history.entry import Accepted, AcceptedHow, AcceptedKind
from cloister.client.history.log import SUFFIX, HistoryLog
from cloister.client.history.pending import PendingChange
from cloister.client.history.publishers import remember_statement
from cloister.errors import InputError
from cloister.protocol import canonical, text
from cloister.protocol.manifest import Manifest
from cloister.protocol.signingkey import key_id

FOLDER = "history"
BUSY = "Another command is writing the history"
_DECIDE_NOTHING = ("id", "name", "description")
"""Members of a manifest that do not decide what happens to anyone's data."""

_MOST_LINES = 60
_MOST_NOTED = 8
_ROUNDS = 8


@dataclass(frozen=True)
class AcceptedChange:
    """Something that is another than the party accepted before. ``lines`` say what differs, before and now."""

    before: Accepted
    after: Accepted
    lines: tuple[str, ...]


Confirm = Callable[[str, Sequence[AcceptedChange]], bool]
"""Called with the workspace and what changed in it; true is the party's yes."""


def say_no(workspace: str, changes: Sequence[AcceptedChange]) -> bool:
    """Accept no change: the error then says what differs, and how to accept it."""
    return False


class AcceptanceHistory:
    """What one party accepts with one command. Called with each accepted verdict before a session is bound."""

    def __init__(
        self,
        policy: Policy,
        manifest: Manifest | None = None,
        *,
        confirm: Confirm,
        noted: Callable[[str], object] = lambda said: None,
        collateral: Collateral | None = None,
    ) -> None:
        """``manifest`` is the one that the command is about; ``noted`` is called with a sentence about what is new.

        ``collateral`` is what the party has: a publisher's statement in it that the policy demands is remembered.
        """
        self._policy = policy
        self._collateral = collateral
        self._manifest = manifest
        self._confirm = confirm
        self._noted = noted
        self._by_rule = False

    @contextlib.contextmanager
    def ruled(self) -> Generator[None]:
        """A context in which a standing rule permits the manifest, so that no question is asked about it."""
        self._by_rule = True
        try:
            yield
        finally:
            self._by_rule = False

    def __call__(self, verdict: Verdict, key: Key) -> None:
        """Note what is accepted. Raises InputError without a yes or if it cannot be noted: nothing may be sent then."""
        workspace = verdict.claims.boot_configuration.workspace
        found = list(self._found(verdict))
        log = HistoryLog(log_path(workspace, key.id))
        agreed: set[tuple[str, str]] = set()
        for _ in range(_ROUNDS):
            with state.locked(log.at, BUSY):
                log.load()
                changes = [one for one in self._changes(log, found) if _pair(one) not in agreed]
                if not changes:
                    self._remember_statement()
                    self._append(workspace, log, found)
                    return
            # The question is asked without the lock: another command may accept the same meanwhile.
            if not self._confirm(workspace, changes):
                raise self._refused(workspace, log, changes)
            agreed |= {_pair(one) for one in changes}
        raise InputError(f"The history of the workspace {workspace} changes all the time.")

    def refused(self) -> None:
        """Note the publisher's statement of a machine that is refused, so that an older one does not undo a withdrawal.

        What cannot be noted is told when a machine is accepted: nothing is bound then.
        """
        with contextlib.suppress(InputError):
            self._remember_statement()

    def _remember_statement(self) -> None:
        if self._policy.publisher is not None and self._collateral is not None:
            remember_statement(self._policy.publisher, self._collateral.items(STATEMENT))

    def differences(self, verdict: Verdict, key: Key) -> tuple[AcceptedChange, ...]:
        """What needs a yes before anything may be sent. Nothing is asked, noted or kept. Raises InputError."""
        log = HistoryLog(log_path(verdict.claims.boot_configuration.workspace, key.id))
        if not any(log.at.with_suffix(suffix).exists() for suffix in (SUFFIX, ".head")):
            return ()  # also without a lock, which would make the folder
        with state.locked(log.at, BUSY):
            log.load()
        return tuple(self._changes(log, list(self._found(verdict))))

    def _found(self, verdict: Verdict) -> Iterator[Accepted]:
        configuration = verdict.claims.boot_configuration
        if verdict.claims.image is not None:
            flavor, digest = verdict.claims.image
            yield Accepted(AcceptedKind.IMAGE, configuration.cvm, digest.hex(), digest.hex(), flavor)
        policy = self._policy.digest().hex()
        yield Accepted(AcceptedKind.POLICY, "", policy, policy)
        if self._manifest is not None:
            for name, key in sorted(self._manifest.parties.items()):
                yield Accepted(AcceptedKind.KEY, name, key_id(key), key_id(key))
            terms = hashlib.sha256(canonical.encode(manifest_terms(self._manifest.value()))).hexdigest()
            yield Accepted(
                AcceptedKind.MANIFEST, self._manifest.name, self._manifest.digest().hex(), terms, self._manifest.id
            )

    def _changes(self, log: HistoryLog, found: Sequence[Accepted]) -> Iterator[AcceptedChange]:
        """What needs a yes. Of a policy or manifest: only one that decides what was never accepted before."""
        for one in found:
            before = log.last(one)
            if before is None or before.terms == one.terms:
                continue
            if one.kind in (AcceptedKind.POLICY, AcceptedKind.MANIFEST) and log.knows_terms(one):
                continue
            if self._by_rule and one.kind in (AcceptedKind.KEY, AcceptedKind.MANIFEST):
                continue
            yield AcceptedChange(before, one, tuple(change_lines(log.at.parent, before, one, self._document(one))))

    def _document(self, of: Accepted) -> Any:
        if of.kind is AcceptedKind.POLICY:
            return self._policy.value()
        return self._manifest.value() if self._manifest else None

    def _append(self, workspace: str, log: HistoryLog, found: Sequence[Accepted]) -> None:
        """Note what is another than before, and keep the documents that a later difference needs."""
        lines: list[tuple[Accepted, AcceptedHow]] = []
        for one in found:
            before = log.last(one)
            if before is not None and before.digest == one.digest:
                continue
            if before is None:
                how = AcceptedHow.FIRST
            elif before.terms == one.terms or log.knows_terms(one):
                how = AcceptedHow.KNOWN
            else:
                how = AcceptedHow.CONFIRMED
            if self._by_rule and one.kind in (AcceptedKind.KEY, AcceptedKind.MANIFEST):
                how = AcceptedHow.RULE
            lines.append((one, how))
        for one, _ in lines:
            if (document := self._document_bytes(one)) is not None:
                keep_document(log.at.parent, one.digest, document)
        log.append(lines)
        PendingChange.discard(log.at)
        if new := [_shown(one) for one, how in lines if how is AcceptedHow.FIRST]:
            more = f" and {len(new) - _MOST_NOTED} more" if len(new) > _MOST_NOTED else ""
            self._noted(
                f"Accepted for the first time in the workspace {workspace}: {', '.join(new[:_MOST_NOTED])}{more}."
            )

    def _document_bytes(self, of: Accepted) -> bytes | None:
        if of.kind is AcceptedKind.POLICY:
            return self._policy.encode()
        return self._manifest.encode() if of.kind is AcceptedKind.MANIFEST and self._manifest else None

    def _refused(self, workspace: str, log: HistoryLog, changes: Sequence[AcceptedChange]) -> InputError:
        """The error without a yes; the change is kept, so that `history` can accept exactly it later."""
        with state.locked(log.at, BUSY):
            documents = {one.after.digest: self._document_bytes(one.after) for one in changes}
            token = PendingChange.keep(log.at, [(one.before, one.after) for one in changes], documents)
        said = "".join(f"\n  {line}" for one in changes for line in one.lines)
        return InputError(
            f"In the workspace {workspace} this is not what you accepted before:{said}\nNothing was sent.",
            hint=f"Find out over another channel why it changed. To accept it: `history --accept {token}`, then run "
            "the command again.",
        )


def log_path(workspace: str, key: str) -> Path:
    """The log of a workspace and a party, by the id of its key."""
    return state.folder(FOLDER) / f"{workspace}.{key}{SUFFIX}"


def manifest_terms(value: dict[str, Any]) -> dict[str, Any]:
    """A manifest's value without the members that decide nothing."""
    return {name: part for name, part in value.items() if name not in _DECIDE_NOTHING}


def change_lines(folder: Path, before: Accepted, after: Accepted, document: Any) -> Iterator[str]:
    """What differs, for reading. ``document`` is the value of the policy or manifest that ``after`` is about."""
    if after.kind is AcceptedKind.IMAGE:
        yield f"image of {after.subject}: {before.label} {before.digest} before, {after.label} {after.digest} now"
    elif after.kind is AcceptedKind.KEY:
        yield f"key of {after.subject}: {before.digest} before, {after.digest} now"
    else:
        name = f"manifest {text.printable(after.subject)}" if after.subject else "your policy"
        yield f"{name}: {before.digest} before, {after.digest} now"
        yield from _document_lines(kept_document(folder, before.digest), document)


def _pair(change: AcceptedChange) -> tuple[str, str]:
    return change.before.digest, change.after.digest


def _document_lines(before: Any, after: Any) -> Iterator[str]:
    if before is None or after is None:
        yield "  the one before is no longer kept, so that its values cannot be compared"
        return
    found = [one for one in differences(before, after) if one.place not in _DECIDE_NOTHING]
    for one in found[:_MOST_LINES]:
        yield f"  {one.place}: {one.before} before, {one.after} now"
    if len(found) > _MOST_LINES:
        yield f"  and {len(found) - _MOST_LINES} more"


def _shown(one: Accepted) -> str:
    short = f"{one.digest[:16]}..."
    match one.kind:
        case AcceptedKind.IMAGE:
            return f"image {one.label} ({short}) of {one.subject}"
        case AcceptedKind.KEY:
            return f"the key of {one.subject} ({short})"
        case AcceptedKind.POLICY:
            return f"your policy ({short})"
        case AcceptedKind.MANIFEST:
            return f"the manifest {text.printable(one.subject)} ({short})"
        case AcceptedKind.STATEMENT:
            return f"the statement {one.label} of {one.subject} ({short})"
