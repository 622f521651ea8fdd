"""Binding an opened session to a party's key."""

import secrets

from google.protobuf.message import DecodeError

from cloister.client.connection import unary
from cloister.client.connection.opening import OPEN_SECONDS, Opening
from cloister.client.connection.sealed_calls import SealedCalls
from cloister.client.connection.session import Bound, Session
from cloister.client.files.keys import Key
from cloister.errors import ProofError
from cloister.protocol import hpkekey, transcript
from cloister.protocol.sealing import Opener, SealError, Sender, SessionKeys
from cloister.v1 import agent_pb2


def bind(opening: Opening, key: Key) -> Session:
    """Bind an opened session to a party's key. Raises ProofError, with every reason, unless its verdict accepts."""
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
    method = unary.plain(opening.channel, "BindSession", agent_pb2.Sealed)
    doing = "binding the session to your key"
    answer = unary.call(method, request, seconds=OPEN_SECONDS, doing=doing, address=address)
    digest = opening.binding.manifest_digest
    keys = SessionKeys.derive(transcript=t, secret=secret, manifest_digest=digest or transcript.NO_MANIFEST)
    bound = _bound(answer, opening.session_id, keys)
    if bound.transcript != t:
        raise ProofError(
            f"The agent at {address} saw a different opening of this session than you.",
            hint="The connection may be intercepted: do not use it. Tell the platform team.",
        )
    return Session(
        SealedCalls(opening.channel, address, opening.session_id, keys),
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
        raise ProofError("The agent's answer to binding the session cannot be decrypted.") from error
    if not opener.ended or answer.session_id != session_id:
        raise ProofError("The agent's answer to binding the session belongs to another session.")
    return bound
