"""The calls of ``cloister.v1.Agent`` and the health service, as handlers of typed messages.

Long because each call has its handler here, and nothing else is.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Generator, Iterator

from google.protobuf.message import Message

from agent_runtime.computation.computation import Computation
from agent_runtime.computation.events import SignedEventLog
from agent_runtime.errors import CallRefusal, Reason
from agent_runtime.limits import Limits
from agent_runtime.operations import openmetrics
from agent_runtime.operations.operations import Operations
from agent_runtime.rpc.buffers import Buffer
from agent_runtime.rpc.calls import Call, DownloadMethod, Method, PlainMethod, UnaryMethod, UploadMethod
from agent_runtime.rpc.session import BIND, BoundSession, Sessions
from cloister.pipeline import WriteBehind
from cloister.protocol.progress import FINAL_STATES
from cloister.protocol.sealing import FRAME_SIZE
from cloister.v1 import agent_pb2, health_pb2

AGENT = "cloister.v1.Agent"
RUN = "cloister.run"
"""Service name in the health service: SERVING while a computation is unfinished."""

_RESET_SECONDS = 0.5
"""Delay between the end of the call and the reset, so that the answer is sent."""

_LIVE_SECONDS = 0.5
"""How often a log reader's call looks for new output of a running algorithm."""

_WAITING_PIECES = 2
"""Pieces of an upload that wait while one is written: what reads from the network shall not wait for the file."""

EVIDENCE = "cloister.evidence"
"""Service name in the health service: SERVING if the last evidence could be made."""

HEALTH = "grpc.health.v1.Health"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Service:
    """Handlers of all calls; :class:`agent_runtime.rpc.calls.CallHandler` serves them."""

    def __init__(
        self,
        computation: Computation,
        sessions: Sessions,
        log: SignedEventLog,
        limits: Limits,
        operations: Operations,
    ) -> None:
        self._computation = computation
        self._sessions = sessions
        self._log = log
        self._limits = limits
        self._operations = operations
        self._writers: dict[str, Call] = {}
        self._writers_lock = threading.Lock()
        self._followers: Counter[str] = Counter()
        self._followers_lock = threading.Lock()

    def methods(self) -> dict[str, Method]:
        """Every call by its path."""
        calls: dict[str, Method] = {
            "OpenSession": PlainMethod(agent_pb2.OpenSessionRequest, self._sessions.open),
            BIND: PlainMethod(agent_pb2.BindSessionRequest, self._sessions.bind),
            "Status": UnaryMethod(agent_pb2.StatusRequest, self._status),
            "SubmitManifest": UnaryMethod(agent_pb2.SubmitManifestRequest, self._submit),
            "UploadOffset": UnaryMethod(agent_pb2.UploadOffsetRequest, self._offset),
            "UploadAsset": UploadMethod(agent_pb2.UploadStart, self._upload),
            "Events": DownloadMethod(agent_pb2.EventsRequest, self._events),
            "Logs": DownloadMethod(agent_pb2.LogsRequest, self._logs),
            "FetchResult": DownloadMethod(agent_pb2.FetchResultRequest, self._fetch),
            "ReleaseResult": UnaryMethod(agent_pb2.ReleaseResultRequest, self._release),
            "Proof": DownloadMethod(agent_pb2.ProofRequest, self._proof),
            "Metrics": UnaryMethod(agent_pb2.MetricsRequest, self._metrics),
            "Start": UnaryMethod(agent_pb2.StartRequest, self._start),
            "Preview": UnaryMethod(agent_pb2.PreviewRequest, self._preview),
            "Decide": UnaryMethod(agent_pb2.DecideRequest, self._decide),
            "Withdraw": UnaryMethod(agent_pb2.WithdrawRequest, self._withdraw),
            "Stop": UnaryMethod(agent_pb2.StopRequest, self._stop),
            "Reset": UnaryMethod(agent_pb2.ResetRequest, self._reset),
        }
        paths = {f"/{AGENT}/{name}": method for name, method in calls.items()}
        return {**paths, f"/{HEALTH}/Check": PlainMethod(health_pb2.HealthCheckRequest, self._health)}

    def _health(self, request: health_pb2.HealthCheckRequest) -> Message:
        states = {
            RUN: self._computation.lifecycle.unfinished,
            EVIDENCE: not self._operations.evidence_problem,
            AGENT: not self._operations.stopping.is_set(),
        }
        serving = states[AGENT] and states[EVIDENCE] if request.service == "" else states.get(request.service)
        if serving is None:
            raise CallRefusal(Reason.UNKNOWN_SERVICE, "Unknown service.")
        return health_pb2.HealthCheckResponse(status=_SERVING if serving else _NOT_SERVING)

    def _status(self, session: BoundSession, request: agent_pb2.StatusRequest, call: Call) -> Message:
        computation = self._computation
        computation.expire()
        manifest = computation.lifecycle.manifest
        answer = agent_pb2.StatusResponse(
            state=computation.lifecycle.state.value,
            detail=computation.lifecycle.detail,
            events=len(self._log),
            run_seconds=computation.lifecycle.run_seconds(),
            hold=computation.hold,
            notices=(*self._operations.notices(), *computation.notices()),
        )
        if manifest is None:
            return answer
        answer.manifest_digest = manifest.digest()
        for asset in manifest.assets():
            progress = computation.store.progress(asset.name)
            answer.assets.add(
                name=asset.name,
                kind=asset.kind,
                provider=asset.provider,
                size=asset.size,
                received=progress.offset,
                complete=progress.complete,
            )
        for slot in computation.slots.all():
            answer.results.add(
                consumer=slot.consumer,
                ready=slot.key is not None and computation.delivery.is_released(slot.consumer),
                consumed=bool(slot.consumed_at),
                consumed_at=slot.consumed_at,
            )
        for party in manifest.results.approvers:
            when = computation.decisions.approved_at(party)
            answer.approvals.add(party=party, approved=bool(when), approved_at=when)
        return answer

    def _submit(self, session: BoundSession, request: agent_pb2.SubmitManifestRequest, call: Call) -> Message:
        digest = self._computation.submit(request.manifest, session, hold=request.hold)
        return agent_pb2.SubmitManifestResponse(digest=digest)

    def _offset(self, session: BoundSession, request: agent_pb2.UploadOffsetRequest, call: Call) -> Message:
        asset, _ = self._computation.asset_for(request.asset, session)
        progress = self._computation.store.progress(asset.name)
        if not progress.complete:
            self._computation.require_receiving()
        return agent_pb2.UploadOffsetResponse(offset=progress.offset, complete=progress.complete)

    def _upload(
        self, session: BoundSession, start: agent_pb2.UploadStart, pieces: Iterator[Buffer], call: Call
    ) -> Iterator[Message]:
        asset, _ = self._computation.asset_for(start.asset, session)
        store = self._computation.store
        progress = store.progress(asset.name)
        if progress.complete:
            # An earlier upload completed the asset, but its last answer may have been lost.
            yield agent_pb2.UploadProgress(offset=progress.offset, complete=True)
            return
        self._computation.require_receiving()
        self._computation.consent(asset.name, start.consent, session)
        with self._writers_lock:
            writer = store.begin(asset.name)
            older = self._writers.get(asset.name)
            self._writers[asset.name] = call
        if older is not None:
            older.cancel()
        # Again: if all was wiped before this writer began, the store would take its bytes.
        self._computation.require_receiving()
        progress = store.start(asset.name, writer, start.offset)
        if progress.complete and asset.size == 0:
            self._computation.received(asset.name, session)
        yield agent_pb2.UploadProgress(offset=progress.offset, complete=progress.complete)

        def write(piece: Buffer) -> None:
            try:
                if store.write(asset.name, writer, piece.data).complete:
                    self._computation.received(asset.name, session)
            finally:
                piece.release()

        # While one piece is written and hashed, the next one is received and opened.
        with WriteBehind(write, _WAITING_PIECES, drop=Buffer.release) as written:
            for piece in pieces:
                try:
                    self._sessions.check(session)
                    self._computation.require_receiving()
                except CallRefusal:
                    piece.release()
                    raise
                written.put(piece)
        progress = store.progress(asset.name)
        yield agent_pb2.UploadProgress(offset=progress.offset, complete=progress.complete)

    def _events(self, session: BoundSession, request: agent_pb2.EventsRequest, call: Call) -> Iterator[Message]:
        with self._follower(session) if request.follow else contextlib.nullcontext():
            yield from self._lines(request, call)

    @contextlib.contextmanager
    def _follower(self, session: BoundSession) -> Generator[None]:
        """Count a call that follows events or logs. Raises CallRefusal BUSY beyond the limits."""
        with self._followers_lock:
            if self._followers[session.key_id] >= self._limits.followers_per_key:
                raise CallRefusal(
                    Reason.BUSY,
                    f"This key already follows events or logs in {self._limits.followers_per_key} calls. "
                    "End one first.",
                )
            if self._followers.total() >= self._limits.followers:
                raise CallRefusal(Reason.BUSY, "Too many calls follow events or logs. Try again later.")
            self._followers[session.key_id] += 1
        try:
            yield
        finally:
            with self._followers_lock:
                self._followers[session.key_id] -= 1
                if not self._followers[session.key_id]:
                    del self._followers[session.key_id]

    def _lines(self, request: agent_pb2.EventsRequest, call: Call) -> Iterator[Message]:
        sequence = request.from_sequence
        call.on_end(self._log.wake)
        while True:
            # Read before the line, so that an event in between is not missed.
            ended = self._log.last in FINAL_STATES
            line = self._log.line(sequence)
            if line is not None:
                sequence += 1
                yield agent_pb2.EventRecord(line=line)
                continue
            if not request.follow or ended:
                return
            call.wait()
            self._log.wait(sequence, lambda: call.ended)
            if call.ended:
                return

    def _logs(self, session: BoundSession, request: agent_pb2.LogsRequest, call: Call) -> Iterator[Message]:
        with self._follower(session) if request.follow else contextlib.nullcontext():
            yield from self._printed(session, request, call)

    def _printed(self, session: BoundSession, request: agent_pb2.LogsRequest, call: Call) -> Iterator[Message]:
        offset = request.offset
        call.on_end(self._log.wake)
        while True:
            events = len(self._log)
            logs = self._computation.logs_for(session, follow=request.follow)
            for data in logs.read(offset):
                offset += len(data)
                yield agent_pb2.LogChunk(data=data)
            if logs.wiped:
                continue  # which refuses the rest
            if logs.truncated:
                yield agent_pb2.LogChunk(truncated=True)
            if logs.final or not (request.follow or logs.ending):
                return
            call.wait()
            self._log.wait(events, lambda: call.ended, _LIVE_SECONDS if logs.limit or logs.ending else None)
            if call.ended:
                return

    def _fetch(
        self, session: BoundSession, request: agent_pb2.FetchResultRequest, call: Call
    ) -> Iterator[Message | bytes]:
        size, pieces = self._computation.ciphertext(request.consumer, request.offset, session)
        yield agent_pb2.ResultStart(size=size)
        yield from pieces

    def _release(self, session: BoundSession, request: agent_pb2.ReleaseResultRequest, call: Call) -> Message:
        key, approvals = self._computation.release(request.consumer, request.ciphertext_digest, session)
        answer = agent_pb2.ReleaseResultResponse(key=key)
        for one in approvals:
            answer.approvals.add(party=one.party, transcript=one.transcript, signature=one.signature)
        return answer

    def _preview(self, session: BoundSession, request: agent_pb2.PreviewRequest, call: Call) -> Message:
        found = self._computation.preview(session)
        answer = agent_pb2.PreviewResponse(receipt_digest=found.receipt_digest, log_size=found.log_size)
        for name, size in found.files:
            answer.files.add(name=name, size=size)
        return answer

    def _decide(self, session: BoundSession, request: agent_pb2.DecideRequest, call: Call) -> Message:
        # A request without either is a rejection whose signature is missing.
        approve = request.WhichOneof("decision") == "approval"
        self._computation.decide(request.approval if approve else request.rejection, session, approve=approve)
        return agent_pb2.DecideResponse()

    def _proof(self, session: BoundSession, request: agent_pb2.ProofRequest, call: Call) -> Iterator[Message]:
        receipt = self._computation.receipt_for(session)
        for start in range(0, len(receipt.envelope), FRAME_SIZE):
            yield agent_pb2.ProofChunk(receipt=receipt.envelope[start : start + FRAME_SIZE])
        for start in range(0, len(receipt.evidence), FRAME_SIZE):
            yield agent_pb2.ProofChunk(evidence=receipt.evidence[start : start + FRAME_SIZE])

    def _metrics(self, session: BoundSession, request: agent_pb2.MetricsRequest, call: Call) -> Message:
        self._computation.require_owner(session)
        gauges = {
            **self._computation.gauges(),
            **self._sessions.gauges(),
            "events": ("", "Events in the event log", len(self._log)),
            "clock_jumps": ("", "Times that the host moved the machine's clock", self._operations.clock_watch.jumps),
        }
        return agent_pb2.MetricsResponse(
            metrics=openmetrics.encode(self._operations.counters.families(gauges)),
            log=self._operations.journal.text() if request.log else "",
        )

    def _start(self, session: BoundSession, request: agent_pb2.StartRequest, call: Call) -> Message:
        self._computation.start(session)
        return agent_pb2.StartResponse()

    def _withdraw(self, session: BoundSession, request: agent_pb2.WithdrawRequest, call: Call) -> Message:
        self._computation.withdraw(request.withdrawal, session)
        return agent_pb2.WithdrawResponse()

    def _stop(self, session: BoundSession, request: agent_pb2.StopRequest, call: Call) -> Message:
        self._computation.stop(session)
        return agent_pb2.StopResponse()

    def _reset(self, session: BoundSession, request: agent_pb2.ResetRequest, call: Call) -> Message:
        self._computation.wipe(session)
        # Only after the peer has its answer: a machine that resets sends nothing.
        call.on_end(threading.Timer(_RESET_SECONDS, self._computation.reboot).start)
        return agent_pb2.ResetResponse()
