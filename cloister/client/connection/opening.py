"""Opening a session: probe, evidence, and the party's own verdict on it.

docs/protocol.md, "Session", has the order of these steps and why. No part of an asset moves before the verdict.
"""

import datetime
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

import grpc

from cloister import endpoint
from cloister.attestation.binding import SessionBinding
from cloister.attestation.evidence import Evidence
from cloister.attestation.policy.policy import Policy
from cloister.attestation.result.verdict import Verdict
from cloister.attestation.verifier import SessionPurpose, verify
from cloister.client.collateral.sources import CollateralSources
from cloister.client.connection import refusal, unary
from cloister.client.connection.channel import close_channel
from cloister.client.evidence.typed_bytes import NONCE_SIZE
from cloister.client.files.keys import Key
from cloister.endpoint import Address, Endpoint
from cloister.errors import CloisterError, ProofError, UnreachableError
from cloister.protocol import hpkekey, transcript
from cloister.v1 import agent_pb2

OPEN_SECONDS = 60.0
"""Deadline of OpenSession and BindSession: a TPM makes one quote at a time, and other sessions may be waiting."""

_PAUSES = (0.5, 1.5, 3.0)
"""Seconds between attempts to open a session."""

_MAX_SESSION_ID = 128


def _forget(verdict: Verdict, key: Key) -> None:
    """Remember nothing of what was accepted."""


def _forget_refusal() -> None:
    """Remember nothing of what was refused."""


@dataclass(frozen=True)
class Target:
    """A CVM that a party wants to talk to, and what the party demands of it.

    address: where the agent listens.
    policy: the party's policy.
    cvm: narrows the policy to the CVM of this name; None accepts every CVM of the policy.
    manifest_digest: SHA-256 of the party's copy of the manifest; None demands no manifest.
    collateral: for what the evidence does not carry; by default nothing is added, and no service is asked.
    accepting: called with an accepted verdict and the party's key before a session is bound; an error ends it. By
        default nothing is remembered of what was accepted.
    refusing: called instead when the verdict refuses the machine.
    """

    address: Address
    policy: Policy
    cvm: str | None = None
    manifest_digest: bytes | None = None
    collateral: CollateralSources = field(default_factory=CollateralSources)
    accepting: Callable[[Verdict, Key], None] = _forget
    refusing: Callable[[], None] = _forget_refusal

    def demands(self) -> Policy:
        """The policy, narrowed to ``cvm``. Raises ProofError when it does not accept that CVM."""
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
    """A session that was opened and appraised, but is not bound yet. A context manager that closes the channel.

    channel: to the agent, over TLS with the key of ``endpoint``.
    endpoint: the address and the TLS key that was seen there.
    nonce: the party's 32 random bytes.
    session_id: the agent's name of the session.
    hpke_public_key: the agent's key for this session.
    raw: the evidence as received.
    evidence: the same, parsed.
    binding: what ties the evidence to this session.
    verdict: accepted or not: the caller decides what to do with it.
    problems: a sentence for each request to a vendor's service that failed; empty when none did.
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
        close_channel(self.channel)

    def require_accepted(self) -> None:
        """Raise ProofError, with every reason, unless the verdict accepts."""
        failed = [check.name for check in self.verdict.failures]
        if failed == ["manifest"] and self.binding.manifest_digest is None:
            raise ProofError(
                f"Your policy accepts the machine at {self.endpoint.address}, but it has no manifest yet.",
                hint="Ask the owner to `run` yours, then run the command again.",
            )
        self.verdict.require_accepted()

    def transcript(self) -> bytes:
        """The transcript: a hash over everything that both ends saw of this opening, 64 bytes."""
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


def attest(target: Target, nonce: bytes | None = None) -> Opening:
    """Open a session with a CVM and appraise its evidence.

    Args:
        target: the CVM, and what is demanded of it.
        nonce: the 32 bytes that the evidence must be made over; None for random ones.

    Returns:
        The opening with its verdict, which may be a rejection. Close it, or use it as a context manager.

    Raises:
        UnreachableError: no agent answers.
        ProofError: the policy excludes the CVM, or the answer has no evidence that could be appraised.
    """
    policy = target.demands()
    for pause in (*_PAUSES, None):
        try:
            return _attest(target, policy, nonce or secrets.token_bytes(NONCE_SIZE))
        except CloisterError as error:
            passing = isinstance(error, UnreachableError) or refusal.reason_of(error) == "BUSY"
            if pause is None or not passing:
                raise
            time.sleep(pause)
    raise UnreachableError(f"Cannot connect to {target.address}.")


def _attest(target: Target, policy: Policy, nonce: bytes) -> Opening:
    seen = endpoint.probe(target.address)
    channel = endpoint.channel(seen)
    try:
        method = unary.plain(channel, "OpenSession", agent_pb2.OpenSessionResponse)
        request = agent_pb2.OpenSessionRequest(nonce=nonce)
        doing = "opening a session"
        answer = unary.call(method, request, seconds=OPEN_SECONDS, doing=doing, address=target.address)
        if not 0 < len(answer.session_id) <= _MAX_SESSION_ID or len(answer.hpke_public_key) != hpkekey.PUBLIC_KEY_SIZE:
            raise ProofError(f"{target.address} answers, but not like an agent.")
        evidence = Evidence.parse(answer.evidence)
        purpose = SessionPurpose(nonce, seen.key_digest(), hashlib.sha256(answer.hpke_public_key).digest())
        collateral, problems = target.collateral.for_evidence(evidence)
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
        close_channel(channel)
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
