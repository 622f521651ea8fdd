"""The one computation of a machine's life: its state, who may do what, and what each step leaves in the event log."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_runtime import room
from agent_runtime.assets import AssetStore
from agent_runtime.attester import Attester
from agent_runtime.clock import Clock
from agent_runtime.errors import AgentError, Reason, Refusal, told
from agent_runtime.job import OWN_NAMES, Operation, Outcome
from agent_runtime.limits import Limits
from agent_runtime.log import EventLog
from agent_runtime.output import Output
from agent_runtime.proof import Proof, prepare
from agent_runtime.results import Slots
from agent_runtime.running import Run, RunnerClient
from agent_runtime.sandbox import MAX_ORDER, launch_order
from agent_runtime.session import Member, Session
from cloister.errors import CloisterError
from cloister.protocol import canonical, transcript
from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from cloister.protocol.events import Kind, State
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.receipt import Consent

OWNER = "owner"
ENDED = (State.COMPLETE, State.FAILED, State.STOPPED)
KINDS = ("python",)
"""Kinds of algorithm that this version runs."""

_INTERNAL = "INTERNAL"


@dataclass(frozen=True)
class Parts:
    """What a computation works with. ``free_memory`` and ``free_store`` measure in bytes."""

    boot_configuration: BootConfiguration
    attester: Attester
    log: EventLog
    store: AssetStore
    slots: Slots
    runner: RunnerClient
    sign: Callable[[bytes], bytes]
    limits: Limits
    clock: Clock
    free_memory: room.Measure
    free_store: room.Measure


class Computation:
    """``state``, ``detail``, ``manifest`` and the rest are read freely; every change goes through a method."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.RLock()
        self._run: Run | None = None
        self._consents: dict[str, Consent] = {}
        self._consented: set[tuple[str, str]] = set()
        self._received: set[str] = set()
        self._expires: float | None = None
        self.state = State.IDLE
        self.detail = ""
        self.manifest: Manifest | None = None
        self.manifest_bytes = b""
        self.output = Output(parts.runner.output, 0)
        self.proof: Proof | None = None
        self._append(Kind.STARTED)

    @property
    def store(self) -> AssetStore:
        """The assets."""
        return self._parts.store

    @property
    def slots(self) -> Slots:
        """The results."""
        return self._parts.slots

    @property
    def unfinished(self) -> bool:
        """Whether there is a computation that has not ended."""
        return self.state is not State.IDLE and self.state not in ENDED

    def member(self, spki: bytes) -> Member:
        """What a key is here. Raises Refusal NOT_AUTHORIZED when it is nothing."""
        # Not between a manifest's measurement and its effect: the session would be bound to it and know no party.
        with self._lock:
            manifest = self.manifest
        key = transcript.key_id(spki)
        roles = set(manifest.roles(spki)) if manifest else set()
        if key in self._parts.boot_configuration.owners:
            roles.add(OWNER)
        if not roles:
            said = (
                f"Neither the manifest nor the boot configuration names the key {key}."
                if manifest
                else f"No manifest is submitted yet, and the boot configuration does not name the key {key}."
            )
            raise Refusal(Reason.NOT_AUTHORIZED, said, key=key, state=self.state.value)
        return Member(manifest.names(spki) if manifest else (), tuple(sorted(roles)))

    def submit(self, data: bytes, session: Session) -> bytes:
        """Take the manifest of this machine's life; its digest."""
        _demand(session, OWNER)
        try:
            manifest = Manifest.parse(data)
        except FormatError as error:
            raise Refusal(Reason.MANIFEST_INVALID, error.message) from error
        _check_runnable(manifest)
        with self._lock:
            if self.manifest is not None:
                raise Refusal(
                    Reason.ALREADY_SUBMITTED,
                    "This machine has its manifest already; reset it to submit another.",
                    manifest=self.manifest.digest().hex(),
                )
            room.Need.of(manifest).check(
                store=self._parts.free_store(),
                memory=self._parts.free_memory() - self._parts.limits.reserved_memory,
            )
            # Measured before it takes effect: no evidence ever says less than what the agent acts upon.
            self._parts.attester.measure_manifest(manifest.digest())
            self._parts.store.declare(manifest.assets())
            self.manifest, self.manifest_bytes = manifest, data
            self.output = Output(self._parts.runner.output, manifest.logs.max_size)
            self.state = State.RECEIVING
            self._append(Kind.MANIFEST, actor=session.key_id)
        return manifest.digest()

    def asset_for(self, name: str, session: Session) -> tuple[Asset, Manifest]:
        """An asset that this session's party provides. Raises Refusal NOT_READY, UNKNOWN_ASSET, NOT_AUTHORIZED."""
        manifest = self._with_manifest()
        asset = self._parts.store.asset(name)
        if asset.provider not in session.member.parties:
            raise Refusal(
                Reason.NOT_AUTHORIZED,
                f"{asset.provider} provides {asset.name}; this key is {_names(session)}.",
                key=session.key_id,
            )
        return asset, manifest

    def consent(self, name: str, signature: bytes, session: Session) -> None:
        """Take a provider's consent. Raises Refusal WRONG_CONSENT, LOG_FULL, and those of :meth:`asset_for`."""
        asset, manifest = self.asset_for(name, session)
        message = transcript.consent_message(
            manifest_digest=manifest.digest(),
            asset=asset.name,
            asset_digest=bytes.fromhex(asset.digest),
            transcript=session.transcript,
        )
        if len(signature) > 1024 or not transcript.verify(manifest.parties[asset.provider], signature, message):
            raise Refusal(
                Reason.WRONG_CONSENT,
                f"The consent is not for {asset.name} with SHA-256 {asset.digest} under this manifest in this session.",
                asset=asset.name,
            )
        with self._lock:
            if self.state is not State.RECEIVING or (session.id, name) in self._consented:
                return
            given = sum(asset == name for _, asset in self._consented)
            # Equal shares: nobody can use up what another provider's asset has.
            limits, assets = self._parts.limits, len(manifest.assets())
            if given >= min(limits.consents_per_asset, max(1, limits.consents // assets)):
                raise Refusal(Reason.LOG_FULL, f"{name} was begun too often; reset the machine to start afresh.")
            self._consented.add((session.id, name))
            detail = {
                "asset": name,
                "digest": asset.digest,
                "party": asset.provider,
                "transcript": canonical.to_base64(session.transcript),
                "consent": canonical.to_base64(signature),
            }
            self._append(Kind.CONSENT, actor=session.key_id, detail=detail)
            self._consents[name] = Consent(name, asset.digest, asset.provider, session.transcript, signature)

    def received(self, name: str, session: Session) -> None:
        """An asset is complete; with the last one the run starts."""
        with self._lock:
            if self.state is not State.RECEIVING:
                return
            self._append(Kind.ASSET, actor=session.key_id, detail={"asset": name})
            self._received.add(name)
            if len(self._received) < len(self._with_manifest().assets()):
                return
            self.state = State.RUNNING
            self._append(Kind.RUN_STARTED)
        threading.Thread(target=self._carry_out, name="run", daemon=True).start()

    def demand_manifest(self) -> None:
        """Raises Refusal NOT_READY before a manifest is submitted."""
        self._with_manifest()

    def demand_receiving(self) -> None:
        """Raises Refusal NOT_READY unless assets are being received."""
        if self.state is not State.RECEIVING:
            raise Refusal(
                Reason.NOT_READY, f"Assets are not received in the state {self.state.value}.", state=self.state.value
            )

    def slot_for(self, consumer: str, session: Session) -> None:
        """Raises Refusal unless results are ready and the slot is this session's."""
        manifest = self._with_manifest()
        if consumer not in manifest.results.consumers or consumer not in session.member.parties:
            raise Refusal(
                Reason.NOT_AUTHORIZED,
                f"This key is {_names(session)}; it does not receive the result for {consumer[:64]!r}.",
            )
        self.expire()
        if self.detail == Reason.EXPIRED and not self._parts.slots.consumed_at(consumer):
            raise Refusal(Reason.EXPIRED, "The results were wiped: nobody fetched this one before it expired.")
        if self.state not in (State.CONSUMING, State.COMPLETE):
            raise Refusal(
                Reason.NOT_READY, f"There is no result in the state {self.state.value}.", state=self.state.value
            )

    def readable_output(self, session: Session) -> Output:
        """What the algorithm printed, if the manifest lets this session read it now."""
        manifest = self._with_manifest()
        if not set(manifest.logs.readers) & set(session.member.parties):
            raise Refusal(
                Reason.NOT_AUTHORIZED, f"This key is {_names(session)}; the manifest does not let it read the output."
            )
        ready = self.state in (State.CONSUMING, *ENDED) or (
            manifest.logs.release == "live" and self.state is State.RUNNING
        )
        if not ready:
            raise Refusal(
                Reason.NOT_READY, f"The output is not shown in the state {self.state.value}.", state=self.state.value
            )
        return self.output

    def proof_for(self, session: Session) -> Proof:
        """The receipt and its evidence, for members."""
        _demand(session, "member")
        if self.proof is None:
            raise Refusal(
                Reason.NOT_READY, f"There is no receipt in the state {self.state.value}.", state=self.state.value
            )
        return self.proof

    def release(self, consumer: str, digest: bytes, session: Session) -> bytes:
        """The key of a slot, once: to the session that shows that it has the whole ciphertext."""
        with self._lock:
            self.slot_for(consumer, session)
            if consumer in session.released:
                return session.released[consumer]
            self._parts.slots.check_digest(consumer, digest)
            event = self._append(Kind.RESULT_CONSUMED, actor=session.key_id, detail={"consumer": consumer})
            key = self._parts.slots.take(consumer, event)
            session.released[consumer] = key
            if self._parts.slots.all_taken():
                self._end(State.COMPLETE, Kind.COMPLETED)
            return key

    def stop(self, session: Session) -> None:
        """End the computation and wipe what there is of it."""
        _demand(session, OWNER)
        with self._lock:
            self._with_manifest()
            if self.state in ENDED:
                raise Refusal(
                    Reason.ALREADY_ENDED, f"The computation has ended: {self.state.value}.", state=self.state.value
                )
            self._end(State.STOPPED, Kind.STOPPED, actor=session.key_id)

    def wipe(self, session: Session) -> None:
        """End the computation, if there is one, so that nothing of it is left when the machine is reset."""
        _demand(session, OWNER)
        with self._lock:
            if self.unfinished:
                self._end(State.STOPPED, Kind.STOPPED, actor=session.key_id)

    def reboot(self) -> None:
        """Boot the machine afresh."""
        self._parts.runner.end(Operation.REBOOT)

    def expire(self) -> None:
        """Wipe results whose time is over."""
        with self._lock:
            if self.state is not State.CONSUMING or self._expires is None or self._parts.clock.uptime() < self._expires:
                return
            self.detail = Reason.EXPIRED.value
            self._append(Kind.EXPIRED)
            self._end(State.COMPLETE, Kind.COMPLETED, detail=Reason.EXPIRED.value)

    def _carry_out(self) -> None:
        """The run, in a thread of its own: whatever happens, the computation gets out of the state Running."""
        try:
            self._run_to_end()
        except Exception as error:  # noqa: BLE001 - a thread that dies would leave the parties waiting for ever
            print(f"the run failed: {told(error)}", flush=True)
            self._fail(_INTERNAL)

    def _run_to_end(self) -> None:
        manifest = self._with_manifest()
        with self._parts.runner.start(room.job_of(manifest)) as run:
            with self._lock:
                if self.state is not State.RUNNING:
                    return
                self._run = run
            outcome = run.outcome()
            self.output.open()
            with self._lock:
                self._run = None
                if self.state is not State.RUNNING:
                    return
                self._append(Kind.RUN_FINISHED, detail={"outcome": outcome.value})
            if outcome is not Outcome.OK:
                self._fail(outcome.value)
                return
            self._fill_slots(manifest, self._parts.runner.results)

    def _fill_slots(self, manifest: Manifest, folder: Path) -> None:
        try:
            proof, members = prepare(
                folder,
                manifest=manifest,
                manifest_bytes=self.manifest_bytes,
                boot_configuration=self._parts.boot_configuration.encode(),
                consents=tuple(self._consents[name] for name in sorted(self._consents)),
                attester=self._parts.attester,
                log=self._parts.log,
                sign=self._parts.sign,
                limits=self._parts.limits,
                clock=self._parts.clock,
            )
        except (AgentError, ValueError, CloisterError):
            self._fail(Outcome.RESULT_INVALID.value)
            return
        self._parts.slots.fill(manifest.results.consumers, members)
        with self._lock:
            if self.state is not State.RUNNING:
                if not _wipe(self.slots):
                    self._parts.runner.end(Operation.POWER_OFF)
                return
            self.proof = proof
            self.state = State.CONSUMING
            self._expires = self._parts.clock.uptime() + manifest.results.expires
            # The algorithm and its data have done their service.
            self._append_wiped(Kind.RESULTS_READY, self.store, detail={"receipt": proof.payload_digest.hex()})

    def _fail(self, reason: str) -> None:
        with self._lock:
            if self.state is State.RUNNING:
                self._end(State.FAILED, Kind.FAILED, detail=reason)

    def _end(self, state: State, kind: Kind, *, actor: str | None = None, detail: str = "") -> None:
        """Into a state for good, wiping everything but the log, the receipt and what the algorithm printed."""
        self.state, self.detail = state, detail
        if self._run is not None:
            self._run.stop()
        self._append_wiped(kind, self.store, self.slots, actor=actor, detail={"reason": detail} if detail else {})

    def _append_wiped(
        self, kind: Kind, *places: AssetStore | Slots, actor: str | None = None, detail: dict[str, str]
    ) -> None:
        """Wipe, then add the event. When something is left it says so, and the machine ends: it is all in memory."""
        wiped = _wipe(*places)
        self._append(kind, actor=actor, detail=detail if wiped else detail | {"wipe": "failed"})
        if not wiped:
            self._parts.runner.end(Operation.POWER_OFF)

    def _append(self, kind: Kind, *, actor: str | None = None, detail: dict[str, str] | None = None) -> str:
        """Add an event with the state as it is now; the event's time."""
        digest = None if self.manifest is None else self.manifest.digest()
        return self._parts.log.append(kind, self.state, manifest=digest, actor=actor, detail=detail).time

    def _with_manifest(self) -> Manifest:
        if self.manifest is None:
            raise Refusal(Reason.NOT_READY, "No manifest is submitted yet.", state=self.state.value)
        return self.manifest


def _demand(session: Session, role: str) -> None:
    if role not in session.member.roles:
        raise Refusal(
            Reason.NOT_AUTHORIZED,
            f"This needs the role {role}; the key {session.key_id} has {', '.join(session.member.roles)}.",
            key=session.key_id,
        )


def _wipe(*places: AssetStore | Slots) -> bool:
    """Whether nothing is left of what was there."""
    wiped = True
    for place in places:
        try:
            place.wipe()
        except OSError as error:
            print(f"the wipe failed: {told(error)}", flush=True)
            wiped = False
    return wiped


def _names(session: Session) -> str:
    return ", ".join(session.member.parties) or "no party of the manifest"


def _check_runnable(manifest: Manifest) -> None:
    if manifest.algorithm.kind not in KINDS:
        raise Refusal(
            Reason.UNSUPPORTED_KIND,
            f"This version runs algorithms of kind python; the manifest has one of kind {manifest.algorithm.kind}.",
            kind=manifest.algorithm.kind,
        )
    if len(launch_order(room.job_of(manifest))) >= MAX_ORDER:
        raise Refusal(Reason.MANIFEST_INVALID, f"The algorithm's arguments are longer than {MAX_ORDER} bytes together.")
    if manifest.algorithm.asset.file in OWN_NAMES:
        raise Refusal(
            Reason.MANIFEST_INVALID,
            f"The algorithm's file cannot be called {manifest.algorithm.asset.file}: a folder is called so already.",
        )
