"""From an address to a bound session: probe, evidence, the party's own verdict, and only then a key.

docs/protocol.md, "Session", has the order of these steps and why. Nothing of an asset moves before the verdict.
"""

import datetime
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self, TypeVar

import grpc
from google.protobuf.message import DecodeError

from cloister import endpoint
from cloister.attestation.binding import SessionBinding
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result import Verdict
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.client.connection import refusal
from cloister.client.connection.refusal import ConnectionLost
from cloister.client.connection.session import Bound, Session
from cloister.client.evidence.vendors import Vendors
from cloister.client.files.keys import Key
from cloister.endpoint import Address, Endpoint
from cloister.errors import CloisterError, ProofError, UnreachableError
from cloister.protocol import hpkekey, transcript
from cloister.protocol.sealing import Opener, SealError, Sender, SessionKeys
from cloister.v1 import agent_pb2, agent_pb2_grpc

OPEN_SECONDS = 60.0
"""Deadline of OpenSession and BindSession: a TPM makes one quote at a time, and others may wait for theirs."""

_PAUSES = (0.5, 1.5, 3.0)
"""Seconds between attempts to open a session."""

_MAX_SESSION_ID = 128

R = TypeVar("R")


@dataclass(frozen=True)
class Target:
    """A CVM that a party wants to talk to: where it is, and what the party demands of it.

    ``cvm`` narrows the policy to one CVM by name; ``manifest_digest`` is that of the party's own copy of the manifest,
    None when it claims none. ``vendors`` state what the evidence itself does not carry.
    """

    address: Address
    policy: Policy
    cvm: str | None = None
    manifest_digest: bytes | None = None
    vendors: Vendors = field(default_factory=Vendors)

    def demands(self) -> Policy:
        """The policy, narrowed to the CVM that was named. Raises ProofError when it does not accept that one."""
        if self.cvm is None:
            return self.policy
        accepted = self.policy.boot_configuration
        if self.cvm not in accepted.cvms:
            raise ProofError(
                f"The policy is for the CVM {' or '.join(accepted.cvms)} of the workspace {accepted.workspace}, "
                f"not for {self.cvm}.",
                hint="Name another CVM, or write a policy for this one with `policy`.",
            )
        return replace(self.policy, boot_configuration=replace(accepted, cvms=(self.cvm,)))


@dataclass(frozen=True)
class Opening:
    """A session that was opened and judged, and is not bound yet. ``raw`` is the evidence as received, ``problems`` has
    a sentence for each question to a vendor that was not answered.
    """

    channel: grpc.Channel
    endpoint: Endpoint
    nonce: bytes
    session_id: str
    hpke_public_key: bytes
    raw: bytes
    evidence: Evidence
    binding: SessionBinding
    verdict: Verdict
    problems: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def require_accepted(self) -> None:
        """Raises ProofError unless the verdict accepts, with every reason."""
        failed = [check.name for check in self.verdict.failures]
        if failed == ["manifest"] and self.binding.manifest_digest is None:
            raise ProofError(
                f"The machine at {self.endpoint.address} is one that you accept, but it has no manifest yet.",
                hint="Ask the owner to `run` yours, then do the same again.",
            )
        self.verdict.require_accepted()

    def transcript(self) -> bytes:
        """T: everything that both ends have seen of this opening, 64 bytes."""
        return transcript.transcript(
            nonce=self.nonce,
            session_id=self.session_id,
            tls_key=self.endpoint.key,
            hpke_public_key=self.hpke_public_key,
            event_log_key=self.evidence.event_log_key,
            evidence=self.raw,
            manifest_digest=self.binding.manifest_digest or transcript.NO_MANIFEST,
            boot_configuration_digest=self.evidence.boot_configuration_digest(),
        )


def attest(target: Target) -> Opening:
    """Open a session and judge its evidence. The verdict may be a refusal: the caller decides what to do with it.

    Raises UnreachableError, or ProofError when there is nothing that could be judged.
    """
    policy = target.demands()
    for pause in (*_PAUSES, None):
        try:
            return _attest(target, policy)
        except CloisterError as error:
            passing = isinstance(error, UnreachableError) or refusal.reason_of(error) == "BUSY"
            if pause is None or not passing:
                raise
            time.sleep(pause)
    raise UnreachableError(f"Nobody can be reached at {target.address}.")


def _attest(target: Target, policy: Policy) -> Opening:
    seen = endpoint.probe(target.address)
    channel = endpoint.channel(seen)
    try:
        nonce = secrets.token_bytes(32)
        try:
            request = agent_pb2.OpenSessionRequest(nonce=nonce)
            answer = agent_pb2_grpc.AgentStub(channel).OpenSession(request, timeout=OPEN_SECONDS)
        except grpc.RpcError as error:
            raise refusal.translate(error, "opening a session", target.address) from error
        if not 0 < len(answer.session_id) <= _MAX_SESSION_ID or len(answer.hpke_public_key) != hpkekey.PUBLIC_KEY_SIZE:
            raise ProofError(f"{target.address} answers, but not as an agent does.")
        evidence = Evidence.parse(answer.evidence)
        purpose = SessionPurpose(nonce, seen.key_digest(), hashlib.sha256(answer.hpke_public_key).digest())
        collateral, problems = target.vendors.about(evidence)
        verdict = verify(
            evidence,
            policy,
            purpose=purpose,
            at=datetime.datetime.now(datetime.UTC),
            manifest_digest=target.manifest_digest,
            collateral=collateral,
        )
        if not isinstance(evidence.binding, SessionBinding):
            verdict.require_accepted()
            raise ProofError("The evidence was not made for a session.")
    except BaseException:
        channel.close()
        raise
    return Opening(
        channel=channel,
        endpoint=seen,
        nonce=nonce,
        session_id=answer.session_id,
        hpke_public_key=answer.hpke_public_key,
        raw=answer.evidence,
        evidence=evidence,
        binding=evidence.binding,
        verdict=verdict,
        problems=problems,
    )


def bind(opening: Opening, key: Key) -> Session:
    """Bind an opened session to a party's key. Raises ProofError unless its verdict accepts, with every reason."""
    opening.require_accepted()
    t = opening.transcript()
    secret = secrets.token_bytes(32)
    plaintext = agent_pb2.BindPlaintext(
        secret=secret,
        party_key=key.public,
        signature=key.sign(transcript.bind_digest(t, secret, key.public)),
    )
    sealed = hpkekey.seal(opening.hpke_public_key, plaintext.SerializeToString(), info=t)
    request = agent_pb2.BindSessionRequest(session_id=opening.session_id, sealed=sealed)
    address = opening.endpoint.address
    try:
        answer = agent_pb2_grpc.AgentStub(opening.channel).BindSession(request, timeout=OPEN_SECONDS)
    except grpc.RpcError as error:
        raise refusal.translate(error, "binding the session to your key", address) from error
    digest = opening.binding.manifest_digest
    keys = SessionKeys.derive(transcript=t, secret=secret, manifest_digest=digest or transcript.NO_MANIFEST)
    bound = _bound(answer, opening.session_id, keys)
    if bound.transcript != t:
        raise ProofError(
            f"The agent at {address} has seen another opening of this session than you.",
            hint="Somebody may stand between you and the machine: do not use this connection.",
        )
    return Session(
        channel=opening.channel,
        address=address,
        session_id=opening.session_id,
        keys=keys,
        transcript=t,
        manifest_digest=digest,
        bound=Bound(tuple(bound.roles), tuple(bound.parties)),
    )


def _bound(answer: agent_pb2.Sealed, session_id: str, keys: SessionKeys) -> agent_pb2.Bound:
    opener = Opener(keys, Sender.AGENT, "BindSession", 0)
    try:
        plaintext = opener.open(
            stream=answer.stream, counter=answer.counter, last=answer.last, ciphertext=answer.ciphertext
        )
        bound = agent_pb2.Bound.FromString(plaintext)
    except (SealError, DecodeError) as error:
        raise ProofError("The agent's answer to binding the session does not open.") from error
    if not opener.ended or answer.session_id != session_id:
        raise ProofError("The agent's answer to binding the session belongs to another one.")
    return bound


class Connection:
    """Sessions with one CVM for one key: opened when needed, and opened again when the old one is of no use."""

    def __init__(self, target: Target, key: Key) -> None:
        self.target = target
        self._key = key
        self._session: Session | None = None
        self._verdict: Verdict | None = None
        self._evidence: Evidence | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def key(self) -> Key:
        """The party's key."""
        return self._key

    def session(self) -> Session:
        """The bound session; opens one when there is none. Raises ProofError when the verdict does not accept."""
        if self._session is None:
            opening = attest(self.target)
            try:
                self._session = bind(opening, self._key)
            except BaseException:
                opening.channel.close()
                raise
            self._verdict, self._evidence = opening.verdict, opening.evidence
        return self._session

    def verdict(self) -> Verdict:
        """The verdict under which the session was opened."""
        self.session()
        if self._verdict is None:
            raise ProofError("There is no verdict on this machine.")
        return self._verdict

    def evidence(self) -> Evidence:
        """The evidence with which the session was opened."""
        self.session()
        if self._evidence is None:
            raise ProofError("There is no evidence of this machine.")
        return self._evidence

    def close(self) -> None:
        """End the session; the next call opens another."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def call(self, do: Callable[[Session], R]) -> R:
        """``do`` with the session; once more with a new one when the agent no longer takes the old one."""
        try:
            return do(self.session())
        except CloisterError as error:
            if not is_stale(error):
                raise
        self.close()
        return do(self.session())


def is_stale(error: CloisterError) -> bool:
    """Whether the agent refuses because of the session, and would take the same call in a new one."""
    return refusal.reason_of(error) in ("MANIFEST_CHANGED", "SESSION_UNKNOWN")


def is_interruption(error: CloisterError) -> bool:
    """Whether a transfer may go on with a new session after ``error``."""
    # Not BUSY: two uploads of one asset would take it from each other for ever.
    return isinstance(error, ConnectionLost) or is_stale(error) or refusal.reason_of(error) == "WRONG_OFFSET"
