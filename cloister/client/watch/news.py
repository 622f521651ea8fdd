"""What a party is told of a computation: news, each from one signed event."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cloister.client.computation.timeline import REASONS
from cloister.protocol import signingkey
from cloister.protocol.events import EventKind, Record, State
from cloister.protocol.manifest import Manifest


class NewsKind(StrEnum):
    """What the news is about."""

    YOUR_TURN = "your-turn"
    """The computation waits for this party."""
    RESULT_READY = "result-ready"
    """This party can fetch the result."""
    WITHDRAWN = "withdrawn"
    """A provider withdrew its consent: the computation has ended, for everyone."""
    ENDED = "ended"
    """The computation has ended without a result for this party, for another reason."""


@dataclass(frozen=True)
class News:
    """One piece of news: ``text`` is a sentence, ``verbs`` are what the party can do, ``assets`` what it can upload."""

    id: str
    """The same for the same news, and for no other: SHA-256 in hex."""
    kind: NewsKind
    text: str
    verbs: tuple[str, ...]
    assets: tuple[str, ...]
    parties: tuple[str, ...]
    """The names of the party in the manifest; empty for an owner without one."""
    manifest: Manifest
    workspace: str
    cvm: str
    record: Record | None
    """The signed event; None for a machine that was restarted, which signs nothing of what it held before."""

    def value(self) -> dict[str, Any]:
        """The JSON value, as a program gets it."""
        return {
            "version": 1,
            "id": self.id,
            "news": self.kind.value,
            "text": self.text,
            "verbs": list(self.verbs),
            "assets": list(self.assets),
            "parties": list(self.parties),
            "computation": self.manifest.name,
            "manifest": self.manifest.digest().hex(),
            "workspace": self.workspace,
            "cvm": self.cvm,
            "time": self.record.event.time if self.record else None,
            "signed": json.loads(self.record.encode()) if self.record else None,
        }


class NewsDesk:
    """Makes news for one party of the verified events of one boot, from the first one on."""

    def __init__(
        self, manifest: Manifest, party: bytes, event_log_key: bytes, *, is_owner: bool, workspace: str, cvm: str
    ) -> None:
        """``party`` and ``event_log_key`` are SPKI. ``is_owner``: the CVM counts the party as an owner."""
        self._manifest = manifest
        self._key_id = signingkey.key_id(party)
        self._names = manifest.names(party)
        self._actors = {signingkey.key_id(key): name for name, key in manifest.parties.items()}
        self._event_log_key = event_log_key
        self._is_owner = is_owner
        self._workspace, self._cvm = workspace, cvm
        self._missing = {asset.name: asset for asset in manifest.assets() if asset.provider in self._names}
        self._decided = False
        self._has_result = False
        self._ended = False
        self._state = State.IDLE

    def news(self, record: Record) -> News | None:
        """What the next event means for the party; None if nothing."""
        event = record.event
        self._state = event.state
        own = event.actor == self._key_id
        if event.kind is EventKind.ASSET:
            self._missing.pop(event.detail.get("asset", ""), None)
        elif event.kind in (EventKind.APPROVED, EventKind.REJECTED):
            self._decided = self._decided or own
        elif event.kind in (EventKind.RESULT_CONSUMED, EventKind.RESULT_PREVIEWED):
            self._has_result = self._has_result or own
        if event.state in (State.FAILED, State.STOPPED) or event.kind is EventKind.EXPIRED:
            first, self._ended = not self._ended, True
            return self._end(record) if first else None
        if event.kind is EventKind.MANIFEST and self._missing:
            verbs = {"upload-data" if one.kind == "dataset" else "upload-algorithm" for one in self._missing.values()}
            return self._made(
                record,
                NewsKind.YOUR_TURN,
                f"The machine runs your manifest and waits for {', '.join(self._missing)}, from you.",
                sorted(verbs),
                tuple(self._missing),
            )
        if event.kind is EventKind.RUN_HELD and self._is_owner:
            return self._made(
                record, NewsKind.YOUR_TURN, "All assets have arrived; the run waits until you start it.", ["start"]
            )
        if event.kind is EventKind.RESULTS_READY and event.state is State.APPROVAL and self._decides():
            return self._made(
                record, NewsKind.YOUR_TURN, "The result waits until you approve or reject it.", ["approve", "reject"]
            )
        if (
            event.kind in (EventKind.RESULTS_READY, EventKind.APPROVED)
            and event.state is State.CONSUMING
            and self._receives()
        ):
            return self._made(record, NewsKind.RESULT_READY, "The result is ready for you.", ["result"])
        return None

    def restarted(self) -> News:
        """What it means that the machine was restarted before the computation had ended."""
        said = (
            "The machine was restarted, or its host shows another one: it has nothing of this, and there is no result."
        )
        return self._made(None, NewsKind.ENDED, said, [])

    def stands(self, news: News) -> bool:
        """Whether earlier news is still true after all events so far: what was done meanwhile is not news."""
        if news.kind is NewsKind.RESULT_READY:
            return self._state is State.CONSUMING and self._receives()
        if news.kind is not NewsKind.YOUR_TURN:
            return True
        if "start" in news.verbs:
            return self._state is State.HELD
        if "approve" in news.verbs:
            return self._state is State.APPROVAL and self._decides()
        return self._state is State.RECEIVING and bool(self._missing)

    def _decides(self) -> bool:
        return not self._decided and bool(set(self._names) & set(self._manifest.results.approvers))

    def _receives(self) -> bool:
        return not self._has_result and bool(set(self._names) & set(self._manifest.results.recipients))

    def _end(self, record: Record) -> News | None:
        event = record.event
        if event.kind is EventKind.WITHDRAWN:
            who = self._actors.get(event.actor or "", "a provider")
            return self._made(record, NewsKind.WITHDRAWN, f"{who} withdrew its consent; everything is wiped.", [])
        if event.kind is EventKind.EXPIRED:
            said = "The result has expired and is wiped; you have not fetched it."
            return self._made(record, NewsKind.ENDED, said, []) if self._receives() else None
        reason = event.detail.get("reason", "")
        who = self._actors.get(event.actor or "", "an owner") if event.actor else ""
        if event.kind is EventKind.REJECTED:
            said = f"{who} rejected the result" if who else "not every party approved the result in time"
        elif event.kind is EventKind.STOPPED:
            said = f"{who or 'an owner'} stopped the computation"
        else:
            said = f"the computation failed: {REASONS.get(reason, 'for a reason that this version does not know')}"
        return self._made(record, NewsKind.ENDED, f"{said[0].upper()}{said[1:]}; there is no result.", [])

    def _made(
        self, record: Record | None, kind: NewsKind, text: str, verbs: list[str], assets: tuple[str, ...] = ()
    ) -> News:
        event = record.event.digest() if record else b""
        identity = hashlib.sha256(b"cloister/v1/news\0" + self._event_log_key + event)
        return News(
            id=identity.hexdigest(),
            kind=kind,
            text=text,
            verbs=tuple(verbs),
            assets=assets,
            parties=tuple(self._names),
            manifest=self._manifest,
            workspace=self._workspace,
            cvm=self._cvm,
            record=record,
        )
