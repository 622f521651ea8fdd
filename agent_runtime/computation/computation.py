"""The calls on the machine's one computation: what each requires of state and party, and what it changes."""

import contextlib
from collections.abc import Generator, Iterator

from agent_runtime.computation import authorization, capacity, consents, job_from_manifest
from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.consents import Consents
from agent_runtime.computation.context import ComputationContext
from agent_runtime.computation.decisions import Decisions, ResultSummary
from agent_runtime.computation.delivery import Delivery
from agent_runtime.computation.logs import ReadableLogs
from agent_runtime.computation.receipt import SignedReceipt
from agent_runtime.computation.results import ResultSlots
from agent_runtime.computation.run import Run
from agent_runtime.computation.state import Lifecycle
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.rpc.session import BoundSession, PartyIdentity
from agent_runtime.runner.protocol import RunnerOperation
from cloister.protocol.approval import Approval
from cloister.protocol.canonical import FormatError
from cloister.protocol.events import EventKind, State
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.progress import FINAL_STATES, totals

NOT_STARTED = "NOT_STARTED"
"""Why a computation failed whose run was held and not started in time."""


class Computation:
    """The machine's one computation. ``lifecycle`` has its state; only the methods here, ``delivery`` and ``decisions``
    change it.

    ``hold`` says whether the run waits for the owner after the last asset.
    """

    def __init__(self, context: ComputationContext) -> None:
        self._context = context
        self._consents = Consents(context.limits)
        self._received: set[str] = set()
        self.hold = False
        self._held_until: float | None = None
        self.lifecycle = Lifecycle(context)
        self._run = Run(context, self.lifecycle, self._consents)
        self.delivery = Delivery(self.lifecycle, self._run, context.slots)
        self.decisions = Decisions(self.lifecycle, self._run, context.slots)

    @property
    def store(self) -> AssetStore:
        """The assets."""
        return self._context.store

    @property
    def slots(self) -> ResultSlots:
        """The results."""
        return self._context.slots

    def gauges(self) -> dict[str, tuple[str, str, float]]:
        """The uptime and the bytes of assets, as metrics: unit, help and value by name."""
        manifest = self.lifecycle.manifest
        assets = manifest.assets() if manifest else ()
        received = sum(self.store.progress(asset.name).offset for asset in assets)
        return {
            "uptime_seconds": ("seconds", "Time since the machine started", int(self._context.clock.uptime())),
            "assets_declared_bytes": ("bytes", "Size of the manifest's assets", sum(asset.size for asset in assets)),
            "assets_received_bytes": ("bytes", "Bytes of assets that have arrived", received),
        }

    def notices(self) -> tuple[str, ...]:
        """A sentence if the store has no room for the assets that are missing, while assets are received."""
        if self.lifecycle.state is not State.RECEIVING:
            return ()
        assets = self.lifecycle.require_manifest().assets()
        missing = sum(asset.size - self.store.progress(asset.name).offset for asset in assets)
        if missing <= (free := self._context.free_store()):
            return ()
        return (f"The machine has room for {free} more bytes of assets, and {missing} bytes are missing.",)

    def require_owner(self, session: BoundSession) -> None:
        """Raises CallRefusal NOT_AUTHORIZED unless the session's key is an owner's."""
        authorization.require_role(session, authorization.OWNER)

    def identify(self, spki: bytes) -> PartyIdentity:
        """Parties and roles of a key. Raises CallRefusal NOT_AUTHORIZED when it has no role."""
        # The lock: between a manifest's measurement and its acceptance, a session would be bound to it without parties.
        with self.lifecycle.lock:
            manifest = self.lifecycle.manifest
        owners = self._context.boot_configuration.owners
        return authorization.identify(spki, owners=owners, manifest=manifest, state=self.lifecycle.state)

    def submit(self, data: bytes, session: BoundSession, *, hold: bool = False) -> bytes:
        """Accept the one manifest of this boot; returns its digest. With ``hold`` the run waits for :meth:`start`."""
        authorization.require_role(session, authorization.OWNER)
        try:
            manifest = Manifest.parse(data)
        except FormatError as error:
            raise CallRefusal(Reason.MANIFEST_INVALID, error.message) from error
        job_from_manifest.check_supported(manifest)
        job_from_manifest.check_image(manifest, self._context.packages)
        lifecycle = self.lifecycle
        with lifecycle.lock:
            if lifecycle.manifest is not None:
                raise CallRefusal(
                    Reason.ALREADY_SUBMITTED,
                    "This machine already has a manifest. Reset it to submit another.",
                    manifest=lifecycle.manifest.digest().hex(),
                )
            scratch = self._context.store.scratch
            capacity.RequiredCapacity.of(manifest, scratch=bool(scratch.size)).check(
                scratch=scratch.size,
                store=self._context.free_store(),
                memory=self._context.free_memory() - self._context.limits.reserved_memory,
                processes=capacity.free_processes(),
            )
            scratch.begin(manifest)
            self._context.store.declare(manifest.assets())
            # Measured before it takes effect, so that evidence always covers the manifest that the agent follows.
            try:
                self._context.attester.measure_manifest(manifest.digest())
            except CallRefusal:
                scratch.wipe()  # the manifest may be submitted again
                raise
            self._run.expect(manifest, data)
            lifecycle.manifest, self.hold = manifest, hold
            held = {"hold": str(self._context.limits.hold_seconds)} if hold else {}
            detail = totals(manifest) | held
            lifecycle.append(EventKind.MANIFEST, actor=session.key_id, detail=detail, state=State.RECEIVING)
        return manifest.digest()

    def asset_for(self, name: str, session: BoundSession) -> tuple[Asset, Manifest]:
        """An asset that this session's party provides. Raises CallRefusal NOT_READY, UNKNOWN_ASSET, NOT_AUTHORIZED."""
        manifest = self.lifecycle.require_manifest()
        asset = self._context.store.asset(name)
        authorization.require_provider(session, asset)
        return asset, manifest

    def consent(self, name: str, signature: bytes, session: BoundSession) -> None:
        """Record a provider's consent. Raises CallRefusal WRONG_CONSENT, LOG_FULL, and those of :meth:`asset_for`."""
        asset, manifest = self.asset_for(name, session)
        consent = consents.verified_consent(asset, signature, manifest, session)
        with self.lifecycle.lock:
            if self.lifecycle.state is not State.RECEIVING:
                return
            if self._consents.is_new(name, session, assets=len(manifest.assets())):
                self.lifecycle.append(EventKind.CONSENT, actor=session.key_id, detail=consents.event_detail(consent))
                self._consents.keep(consent, session)

    def received(self, name: str, session: BoundSession) -> None:
        """Record that an asset is complete. After the last one the run starts, or is held for the owner."""
        with self.lifecycle.lock:
            if self.lifecycle.state is not State.RECEIVING:
                return
            if name in self._received:  # two uploads of an empty asset may both find it complete
                return
            detail = {"asset": name, "kind": self._context.store.asset(name).kind}
            self.lifecycle.append(EventKind.ASSET, actor=session.key_id, detail=detail)
            self._received.add(name)
            if len(self._received) < len(self.lifecycle.require_manifest().assets()):
                return
            if self.hold:
                self._held_until = self._context.clock.uptime() + self._context.limits.hold_seconds
                self.lifecycle.append(EventKind.RUN_HELD, state=State.HELD)
                return
            self._begin_run()

    def start(self, session: BoundSession) -> None:
        """Start a run that was held. Nothing happens if it runs already: the answer to an earlier call may be lost."""
        authorization.require_role(session, authorization.OWNER)
        with self._deciding():
            self.lifecycle.require_manifest()
            if self.lifecycle.state is State.RUNNING:
                return
            if self.lifecycle.state is not State.HELD:
                raise self.lifecycle.not_ready("The run cannot be started")
            self._begin_run(actor=session.key_id)

    def _begin_run(self, actor: str | None = None) -> None:
        """Enter the state Running. The lock is held."""
        self.lifecycle.append(EventKind.RUN_STARTED, actor=actor, state=State.RUNNING)
        self._run.start()

    def require_receiving(self) -> None:
        """Raises CallRefusal NOT_READY unless assets are being received."""
        if self.lifecycle.state is not State.RECEIVING:
            raise self.lifecycle.not_ready("Assets cannot be uploaded")

    def ciphertext(self, consumer: str, offset: int, session: BoundSession) -> tuple[int, Iterator[bytes]]:
        """Size of a slot, and its bytes from ``offset`` on, which end with a refusal when it is wiped, see
        :meth:`Delivery.ciphertext`.
        """
        with self._deciding():
            size, pieces = self.delivery.ciphertext(consumer, offset, session)
        return size, self._while_released(pieces, consumer, session)

    def _while_released(self, pieces: Iterator[bytes], consumer: str, session: BoundSession) -> Iterator[bytes]:
        for piece in pieces:
            with self._deciding():
                self.delivery.require_slot(consumer, session)
            yield piece

    def release(self, consumer: str, digest: bytes, session: BoundSession) -> tuple[bytes, tuple[Approval, ...]]:
        """Release the key of a slot, with the approvals, see :meth:`Delivery.release_key`."""
        with self._deciding():
            return self.delivery.release_key(consumer, digest, session), self.decisions.approvals()

    def receipt_for(self, session: BoundSession) -> SignedReceipt:
        """The receipt and its evidence, see :meth:`Delivery.receipt`."""
        with self._deciding():
            return self.delivery.receipt(session)

    def logs_for(self, session: BoundSession, *, follow: bool) -> ReadableLogs:
        """What a session may read of the logs now, see :meth:`Delivery.logs`."""
        with self._deciding():
            return self.delivery.logs(session, follow=follow)

    def withdraw(self, signature: bytes, session: BoundSession) -> None:
        """End the computation on a provider's word, see :meth:`Decisions.withdraw`."""
        with self._deciding():
            self.decisions.withdraw(signature, session)

    def preview(self, session: BoundSession) -> ResultSummary:
        """What an approver sees of the result, see :meth:`Decisions.preview`."""
        with self._deciding():
            return self.decisions.preview(session)

    def decide(self, signature: bytes, session: BoundSession, *, approve: bool) -> None:
        """Approve or reject the result, see :meth:`Decisions.decide`."""
        with self._deciding():
            self.decisions.decide(signature, session, approve=approve)

    def stop(self, session: BoundSession) -> None:
        """End the computation and delete its data."""
        authorization.require_role(session, authorization.OWNER)
        with self._deciding():
            self.lifecycle.require_manifest()
            if self.lifecycle.state in FINAL_STATES:
                raise self.lifecycle.already_ended()
            self.lifecycle.end(State.STOPPED, EventKind.STOPPED, actor=session.key_id)

    def wipe(self, session: BoundSession) -> None:
        """Before a reset: end the computation, if one is unfinished, and delete its data."""
        authorization.require_role(session, authorization.OWNER)
        with self.lifecycle.lock:
            if self.lifecycle.unfinished:
                self.lifecycle.end(State.STOPPED, EventKind.STOPPED, actor=session.key_id)

    def reboot(self) -> None:
        """Reboot the machine."""
        self._context.runner.end_machine(RunnerOperation.REBOOT)

    @contextlib.contextmanager
    def _deciding(self) -> Generator[None]:
        """Hold the lock, when what time has ended has ended.

        Whatever decides something, or hands something out, does it here: it has one place in the order of the log.
        """
        with self.lifecycle.lock:
            self.expire()
            yield

    def expire(self) -> None:
        """Delete results that expired or were not approved in time, and the assets of a run that no one started."""
        with self.lifecycle.lock:
            if self.lifecycle.state is State.HELD and self._context.clock.uptime() >= (self._held_until or 0):
                self.lifecycle.end(State.FAILED, EventKind.FAILED, reason=NOT_STARTED)
            if self.lifecycle.state is State.APPROVAL and self._run.expired():
                self.decisions.expire()
            if self.lifecycle.state is State.CONSUMING and self._run.expired():
                self.lifecycle.detail = Reason.EXPIRED.value
                self.lifecycle.append(EventKind.EXPIRED)
                self.lifecycle.end(State.COMPLETE, EventKind.COMPLETED, reason=Reason.EXPIRED.value)
