"""What holds after every fault, seen from outside: by an owner, in the store's files and in the runner's notes.

Never two keys for a slot, never a run with a missing or foreign asset, never an event without its predecessor, never a
byte before consent, never a key after a withdrawal, or before the approvals that the manifest demands.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from agent_runtime.computation.assets import asset_path
from cloister.client.connection.connection import Connection
from cloister.client.connection.session import Session
from cloister.errors import CloisterError
from cloister.protocol import canonical, signingkey, transcript
from cloister.protocol.events import Event, EventChain, EventKind, Record
from cloister.protocol.manifest import Manifest
from cloister.protocol.progress import FINAL_STATES

_KEY_SIZE = 32
_RELEASES = (EventKind.RESULT_CONSUMED, EventKind.RESULT_PREVIEWED)


class Observed(Protocol):
    """What can be seen of a machine from outside."""

    @property
    def store(self) -> Path:
        """The folder of assets and slots."""

    def runs(self) -> list[list[str]]:
        """For each run, the digests of what the store held when it began."""

    def log(self) -> str:
        """What the agent printed."""


class Invariants:
    """The promises of one machine. ``keys`` has every result key that any client received, by consumer."""

    def __init__(self, guest: Observed, manifest: Manifest, observer: Connection) -> None:
        self.keys: dict[str, set[bytes]] = {}
        self._guest = guest
        self._manifest = manifest
        self._observer = observer
        self._lines: list[bytes] = []

    def check(self) -> list[Event]:
        """Check all of them, and return the events so far. What cannot be observed any more is left out."""
        # Bytes first, events afterwards: a consent that followed its bytes would be missed the other way round.
        bytes_of = self._stored()
        try:
            received, lines = self._observer.call(_observe)
        except CloisterError:
            received, lines = {}, self._lines
        events = self._check_log(lines)
        self._check_consents(events, {name for name, size in (bytes_of | received).items() if size})
        self._check_run(events)
        self._check_keys(events)
        self._check_end(events)
        assert_no_fault(self._guest.log())
        return events

    def _stored(self) -> dict[str, int]:
        """Bytes of each asset's file."""
        found = {}
        for asset in self._manifest.assets():
            path = asset_path(self._guest.store, asset)
            try:
                found[asset.name] = path.stat().st_size
            except OSError:
                found[asset.name] = 0
        return found

    def _check_log(self, lines: list[bytes]) -> list[Event]:
        """Every event has its predecessor, and none that was shown before has changed or is gone."""
        assert lines[: len(self._lines)] == self._lines, "the log changed"
        self._lines = lines
        if not lines:
            return []
        chain, events = EventChain(self._observer.evidence().event_log_key), []
        for line in lines:
            record = Record.parse(line)
            chain.add(record)
            events.append(record.event)
        return events

    def _check_consents(self, events: list[Event], with_bytes: set[str]) -> None:
        """Every asset of which there is a byte has its provider's consent, over this manifest and these bytes."""
        consented = set()
        for event in events:
            if event.kind is EventKind.CONSENT:
                self._check_consent(event)
                consented.add(event.detail["asset"])
            if event.kind is EventKind.ASSET:
                assert event.detail["asset"] in consented, f"{event.detail['asset']} was received without consent"
        if events:
            assert with_bytes <= consented, f"bytes of {with_bytes - consented} without consent"

    def _check_consent(self, event: Event) -> None:
        (asset,) = [one for one in self._manifest.assets() if one.name == event.detail["asset"]]
        message = transcript.consent_message(
            manifest_digest=self._manifest.digest(),
            asset=asset.name,
            asset_digest=bytes.fromhex(asset.digest),
            transcript=canonical.from_base64(event.detail["transcript"], what="a transcript"),
        )
        signature = canonical.from_base64(event.detail["consent"], what="a consent")
        assert signingkey.verify(self._manifest.parties[asset.provider], signature, message), f"forged: {event}"

    def _check_run(self, events: list[Event]) -> None:
        """At most one run, with every asset of the manifest and no other file."""
        runs = self._guest.runs()
        assert len(runs) <= 1, runs
        for digests in runs:
            assert sorted(digests) == sorted(asset.digest for asset in self._manifest.assets())
        kinds = [event.kind for event in events]
        if EventKind.RUN_STARTED in kinds:
            before = events[: kinds.index(EventKind.RUN_STARTED)]
            received = [event.detail["asset"] for event in before if event.kind is EventKind.ASSET]
            assert sorted(received) == sorted(asset.name for asset in self._manifest.assets())
        elif events and self._lines:
            assert not runs or not kinds, "a run that no event announced"

    def _check_keys(self, events: list[Event]) -> None:
        """At most one key for a slot, and none whose release is not in the log."""
        released = Counter(event.detail["consumer"] for event in events if event.kind in _RELEASES)
        assert all(count == 1 for count in released.values()), released
        for consumer, keys in self.keys.items():
            assert len(keys) <= 1, f"{len(keys)} keys for {consumer}"
            assert not events or consumer in released, f"a key for {consumer} without an event"

    def _check_end(self, events: list[Event]) -> None:
        """Nothing happens after the end; a withdrawal is a provider's, and comes before the first release.

        Nothing is released to others before everyone who must approve it has done so, or after a rejection.
        """
        ends = [event.sequence for event in events if event.state in FINAL_STATES]
        assert not ends or ends == [len(events) - 1], "an event after the end"
        for event in events:
            if event.kind is EventKind.WITHDRAWN:
                party = event.detail["party"]
                assert party in {asset.provider for asset in self._manifest.assets()}
                self._check_signed(event, party, "withdrawal", transcript.withdrawal_message, party=party)
                assert not [one for one in events if one.kind in _RELEASES], "withdrawn after a release"
        self._check_approvals(events)

    def _check_approvals(self, events: list[Event]) -> None:
        results, missing = self._manifest.results, set(self._manifest.results.approvers)
        receipt = b""
        for event in events:
            if event.kind is EventKind.RESULTS_READY:
                receipt = bytes.fromhex(event.detail["receipt"])
            if event.kind is EventKind.RESULT_PREVIEWED:
                assert event.detail["consumer"] in results.readers
            if event.kind is EventKind.RESULT_CONSUMED:
                assert not missing, f"released without the approval of {missing}"
            if event.kind is EventKind.APPROVED:
                party = event.detail["party"]
                self._check_signed(event, party, "approval", transcript.approval_message, payload_digest=receipt)
                missing.remove(party)
            if event.kind is EventKind.REJECTED and event.actor:
                party = event.detail["party"]
                assert party in missing, "rejected by a party that does not decide, or has decided"
                self._check_signed(event, party, "rejection", transcript.rejection_message, payload_digest=receipt)

    def _check_signed(
        self, event: Event, signer: str, name: str, message: Callable[..., bytes], **members: object
    ) -> None:
        signed = message(
            manifest_digest=self._manifest.digest(),
            transcript=canonical.from_base64(event.detail["transcript"], what="a transcript"),
            **members,
        )
        signature = canonical.from_base64(event.detail[name], what="a signature")
        key = self._manifest.parties[signer]
        assert event.actor == signingkey.key_id(key)
        assert signingkey.verify(key, signature, signed), f"forged: {event}"

    def found_key(self, consumer: str, key: bytes) -> None:
        """A client has received a key."""
        self.keys.setdefault(consumer, set()).add(key)

    def found_key_files(self, folder: Path, consumers: Iterable[str]) -> None:
        """Note the keys that killed clients left on their disks."""
        for consumer in consumers:
            path = folder / f"{consumer}.zip.key"
            if path.exists():  # the key, then approvals
                self.found_key(consumer, path.read_bytes()[:_KEY_SIZE])


def assert_no_fault(printed: str) -> None:
    """What the agent printed tells of nothing that it did not expect."""
    assert not re.search('"event": "fault"|Traceback', printed), printed


def _observe(session: Session) -> tuple[dict[str, int], list[bytes]]:
    status = session.status()
    return {one.name: one.received for one in status.assets}, list(session.events(0, follow=False))
