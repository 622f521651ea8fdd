"""A change that waits for the party's yes: kept beside the log, so that exactly this change can be accepted.

Its token is the digest of the change, of the log that it is for, and of a random nonce: it is short, and one who writes
manifests could otherwise make two that have the same, and exchange them between the party's look and its yes.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cloister.client.files import state
from cloister.client.history.documents import keep_document
from cloister.client.history.entry import Accepted, AcceptedHow
from cloister.client.history.log import HistoryLog
from cloister.errors import InputError
from cloister.protocol import canonical, schema
from cloister.protocol.canonical import FormatError

SUFFIX = ".pending"
_LIMIT = 4 * 1024 * 1024
_TOKEN = 16
_NONCE = 16


@dataclass(frozen=True)
class PendingChange:
    """What would be accepted instead of what; ``token`` names exactly this."""

    token: str
    changes: tuple[tuple[Accepted, Accepted], ...]
    documents: Mapping[str, bytes]

    @classmethod
    def keep(
        cls, log: Path, changes: Sequence[tuple[Accepted, Accepted]], documents: Mapping[str, bytes | None]
    ) -> str:
        """Keep a change, instead of an earlier one; returns its token. The caller has the lock. Raises InputError."""
        found = {digest: data for digest, data in documents.items() if data is not None}
        earlier = cls.load(log)
        if earlier is not None and (earlier.changes, earlier.documents) == (tuple(changes), found):
            return earlier.token
        pairs = [{"before": before.value(), "after": after.value()} for before, after in changes]
        kept = {digest: base64.b64encode(data).decode() for digest, data in found.items()}
        value: dict[str, Any] = {"nonce": secrets.token_hex(_NONCE), "changes": pairs, "documents": kept}
        value["token"] = _token(log, value)
        state.write(log.with_suffix(SUFFIX), canonical.encode(value))
        return str(value["token"])

    @classmethod
    def load(cls, log: Path) -> Self | None:
        """The change that waits beside a log; None without one, or if it was changed. Raises InputError."""
        data = state.read(log.with_suffix(SUFFIX), _LIMIT)
        if data is None:
            return None
        try:
            value: Any = canonical.parse_canonical(data, what="The change", limit=_LIMIT)
            schema.validate("client/history-pending", value, what="The change")
            documents = {digest: base64.b64decode(text) for digest, text in value["documents"].items()}
        except (FormatError, ValueError):  # the latter is base64's
            return None
        if value["token"] != _token(log, value):
            return None
        changes = tuple(
            (Accepted.from_value(one["before"]), Accepted.from_value(one["after"])) for one in value["changes"]
        )
        return cls(value["token"], changes, documents)

    def document(self, digest: str) -> Any:
        """The value of a policy or manifest of the change; None without one."""
        data = self.documents.get(digest)
        return None if data is None or hashlib.sha256(data).hexdigest() != digest else json.loads(data)

    @staticmethod
    def discard(log: Path) -> None:
        """Forget the change that waits beside a log."""
        log.with_suffix(SUFFIX).unlink(missing_ok=True)

    def accept(self, log: HistoryLog) -> None:
        """Append the change to its log, if that still has what the change replaces. Raises InputError."""
        for before, after in self.changes:
            now = log.last(after)
            if now is None or now.digest != before.digest:
                raise InputError(
                    f"The change {self.token} is about what you no longer accept: something else was accepted since.",
                    hint="Run the command again that reported it.",
                )
        for digest, data in self.documents.items():
            keep_document(log.at.parent, digest, data)
        log.append([(after, AcceptedHow.CONFIRMED) for _, after in self.changes])
        self.discard(log.at)


def _token(log: Path, value: dict[str, Any]) -> str:
    """The token of the value of a change that waits beside a log."""
    named = [log.with_suffix("").name, value["nonce"], value["changes"]]
    return hashlib.sha256(canonical.encode(named)).hexdigest()[:_TOKEN]
