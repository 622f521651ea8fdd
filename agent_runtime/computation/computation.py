"""The one computation of a machine's life, call by call: what each demands of state and party, and what it changes."""

from agent_runtime.computation import authorization, capacity, consents, job_from_manifest
from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.consents import Consents
from agent_runtime.computation.context import Parts
from agent_runtime.computation.logs import Output
from agent_runtime.computation.receipt import Proof
from agent_runtime.computation.results import Slots
from agent_runtime.computation.run import Execution
from agent_runtime.computation.state import ENDED, Life
from agent_runtime.errors import Reason, Refusal
from agent_runtime.rpc.session import Member, Session
from agent_runtime.runner.protocol import Operation
from cloister.protocol.canonical import FormatError
from cloister.protocol.events import EventKind, State
from cloister.protocol.manifest import Asset, Manifest


class Computation:
    """``life`` says how far it has come; every change goes through a method."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._consents = Consents(parts.limits)
        self._received: set[str] = set()
        self.life = Life(parts)
        self._execution = Execution(parts, self.life, self._consents)

    @property
    def store(self) -> AssetStore:
        """The assets."""
        return self._parts.store

    @property
    def slots(self) -> Slots:
        """The results."""
        return self._parts.slots

    def member(self, spki: bytes) -> Member:
        """What a key is here. Raises Refusal NOT_AUTHORIZED when it is nothing."""
        # Not between a manifest's measurement and its effect: the session would be bound to it and know no party.
        with self.life.lock:
            manifest = self.life.manifest
        owners = self._parts.boot_configuration.owners
        return authorization.member(spki, owners=owners, manifest=manifest, state=self.life.state)

    def submit(self, data: bytes, session: Session) -> bytes:
        """Take the manifest of this machine's life; its digest."""
        authorization.demand(session, authorization.OWNER)
        try:
            manifest = Manifest.parse(data)
        except FormatError as error:
            raise Refusal(Reason.MANIFEST_INVALID, error.message) from error
        job_from_manifest.check(manifest)
        life = self.life
        with life.lock:
            if life.manifest is not None:
                raise Refusal(
                    Reason.ALREADY_SUBMITTED,
                    "This machine has its manifest already; reset it to submit another.",
                    manifest=life.manifest.digest().hex(),
                )
            capacity.Need.of(manifest).check(
                store=self._parts.free_store(),
                memory=self._parts.free_memory() - self._parts.limits.reserved_memory,
            )
            # Measured before it takes effect: no evidence ever says less than what the agent acts upon.
            self._parts.attester.measure_manifest(manifest.digest())
            self._parts.store.declare(manifest.assets())
            self._execution.expect(manifest, data)
            life.manifest, life.state = manifest, State.RECEIVING
            life.append(EventKind.MANIFEST, actor=session.key_id)
        return manifest.digest()

    def asset_for(self, name: str, session: Session) -> tuple[Asset, Manifest]:
        """An asset that this session's party provides. Raises Refusal NOT_READY, UNKNOWN_ASSET, NOT_AUTHORIZED."""
        manifest = self.life.known_manifest()
        asset = self._parts.store.asset(name)
        authorization.demand_provider(session, asset)
        return asset, manifest

    def consent(self, name: str, signature: bytes, session: Session) -> None:
        """Take a provider's consent. Raises Refusal WRONG_CONSENT, LOG_FULL, and those of :meth:`asset_for`."""
        asset, manifest = self.asset_for(name, session)
        consent = consents.given(asset, signature, manifest, session)
        with self.life.lock:
            if self.life.state is not State.RECEIVING:
                return
            if self._consents.is_new(name, session, assets=len(manifest.assets())):
                self.life.append(EventKind.CONSENT, actor=session.key_id, detail=consents.event_detail(consent))
                self._consents.keep(consent, session)

    def received(self, name: str, session: Session) -> None:
        """An asset is complete; with the last one the run starts."""
        with self.life.lock:
            if self.life.state is not State.RECEIVING:
                return
            self.life.append(EventKind.ASSET, actor=session.key_id, detail={"asset": name})
            self._received.add(name)
            if len(self._received) < len(self.life.known_manifest().assets()):
                return
            self.life.state = State.RUNNING
            self.life.append(EventKind.RUN_STARTED)
        self._execution.start()

    def demand_receiving(self) -> None:
        """Raises Refusal NOT_READY unless assets are being received."""
        if self.life.state is not State.RECEIVING:
            raise self.life.not_ready("Assets are not received")

    def slot_for(self, consumer: str, session: Session) -> None:
        """Raises Refusal unless results are ready and the slot is this session's."""
        authorization.demand_consumer(session, consumer, self.life.known_manifest())
        self.expire()
        if self.life.detail == Reason.EXPIRED and not self._parts.slots.consumed_at(consumer):
            raise Refusal(Reason.EXPIRED, "The results were wiped: nobody fetched this one before it expired.")
        if self.life.state not in (State.CONSUMING, State.COMPLETE):
            raise self.life.not_ready("There is no result")

    def readable_output(self, session: Session) -> Output:
        """What the algorithm printed, if the manifest lets this session read it now."""
        manifest, state = self.life.known_manifest(), self.life.state
        authorization.demand_reader(session, manifest)
        live = manifest.logs.release == "live" and state is State.RUNNING
        if not live and state not in (State.CONSUMING, *ENDED):
            raise self.life.not_ready("The output is not shown")
        return self._execution.output

    def proof_for(self, session: Session) -> Proof:
        """The receipt and its evidence, for members."""
        authorization.demand(session, authorization.MEMBER)
        if self._execution.proof is None:
            raise self.life.not_ready("There is no receipt")
        return self._execution.proof

    def release(self, consumer: str, digest: bytes, session: Session) -> bytes:
        """The key of a slot, once: to the session that shows that it has the whole ciphertext."""
        with self.life.lock:
            self.slot_for(consumer, session)
            if consumer in session.released:
                return session.released[consumer]
            self._parts.slots.check_digest(consumer, digest)
            when = self.life.append(EventKind.RESULT_CONSUMED, actor=session.key_id, detail={"consumer": consumer})
            key = self._parts.slots.take(consumer, when)
            session.released[consumer] = key
            if self._parts.slots.all_taken():
                self.life.end(State.COMPLETE, EventKind.COMPLETED)
            return key

    def stop(self, session: Session) -> None:
        """End the computation and wipe what there is of it."""
        authorization.demand(session, authorization.OWNER)
        with self.life.lock:
            self.life.known_manifest()
            if self.life.state in ENDED:
                state = self.life.state.value
                raise Refusal(Reason.ALREADY_ENDED, f"The computation has ended: {state}.", state=state)
            self.life.end(State.STOPPED, EventKind.STOPPED, actor=session.key_id)

    def wipe(self, session: Session) -> None:
        """End the computation, if there is one, so that nothing of it is left when the machine is reset."""
        authorization.demand(session, authorization.OWNER)
        with self.life.lock:
            if self.life.unfinished:
                self.life.end(State.STOPPED, EventKind.STOPPED, actor=session.key_id)

    def reboot(self) -> None:
        """Boot the machine afresh."""
        self._parts.runner.end(Operation.REBOOT)

    def expire(self) -> None:
        """Wipe results whose time is over."""
        with self.life.lock:
            if self.life.state is State.CONSUMING and self._execution.expired():
                self.life.detail = Reason.EXPIRED.value
                self.life.append(EventKind.EXPIRED)
                self.life.end(State.COMPLETE, EventKind.COMPLETED, detail=Reason.EXPIRED.value)
