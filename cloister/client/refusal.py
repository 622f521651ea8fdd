"""What an agent's refusal means to the person at the keyboard: one sentence, what to do, and an exit code.

An agent refuses with a gRPC status, one sentence, and a stable reason in the trailing metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cloister.errors import CloisterError, InputError, ProofError, RefusedError, UnreachableError
from cloister.v1 import agent_pb2

METADATA_KEY = "cloister-error-bin"
_MAX_INFO = 16 * 1024


class Refusal(RefusedError):
    """The agent said no. ``reason`` is stable (SCREAMING_SNAKE), ``metadata`` what it added."""

    def __init__(self, message: str, *, reason: str, metadata: Mapping[str, str], hint: str, exit_code: int) -> None:
        super().__init__(message, hint=hint, exit_code=exit_code)
        self.reason = reason
        self.metadata = dict(metadata)


class ConnectionLost(UnreachableError):
    """The connection ended, or nothing came in time: the same call may succeed on a new one.

    ``deadline`` is true when the call's own deadline ended it: the connection may be well.
    """

    def __init__(self, message: str, *, hint: str, deadline: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.deadline = deadline


class DamagedStream(ProofError):
    """Frames came out of order, changed or truncated."""


@dataclass(frozen=True)
class _Meaning:
    hint: str
    exit_code: int = RefusedError.exit_code


_MEANINGS = {
    "NOT_AUTHORIZED": _Meaning(
        "Only keys that the manifest or the workspace names may do this: check --key, and ask the owner."
    ),
    "MANIFEST_CHANGED": _Meaning("A manifest was submitted meanwhile; run the command again."),
    "MANIFEST_EXISTS": _Meaning("A CVM takes one manifest in its life: `reset` gives it a new one."),
    "MANIFEST_INVALID": _Meaning("`manifest` writes the canonical form.", InputError.exit_code),
    "NO_MANIFEST": _Meaning("An owner submits it with `run`."),
    "CONSUMED": _Meaning("The key of a result goes out once; use the copy that was fetched then."),
    "NOT_READY": _Meaning("`events --follow` shows when it is."),
    "DIGEST_MISMATCH": _Meaning("Compare the file with `checksum` and the manifest.", InputError.exit_code),
    "RESOURCE_EXHAUSTED": _Meaning("Wait a little and run the command again."),
}
"""For reasons whose remedy the reader would not guess from the agent's sentence."""


def translate(error: grpc.RpcError, doing: str, address: object) -> CloisterError:
    """The error to raise for a failed call; ``doing`` completes "... failed"."""
    code, details = _status(error)
    info = _info(error)
    if info is not None:
        meaning = _MEANINGS.get(info.reason, _Meaning(""))
        sentence = details or f"The agent refuses {doing} ({info.reason})."
        if "consumed_at" in info.metadata and info.metadata["consumed_at"] not in sentence:
            sentence = f"{sentence.rstrip('.')}, at {info.metadata['consumed_at']}."
        return Refusal(
            _printable(sentence),
            reason=info.reason,
            metadata=info.metadata,
            hint=meaning.hint,
            exit_code=meaning.exit_code,
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED):
        late = code is grpc.StatusCode.DEADLINE_EXCEEDED
        reason = "no answer came in time" if late else "the connection ended"
        return ConnectionLost(
            f"{doing[0].upper()}{doing[1:]} failed at {address}: {reason}.",
            hint="Check that the CVM runs and that its network lets you in, then run the command again.",
            deadline=late,
        )
    if code is grpc.StatusCode.DATA_LOSS:
        return DamagedStream(
            f"{doing[0].upper()}{doing[1:]} failed: {_printable(details) or 'the stream was damaged'}."
        )
    return RefusedError(f"The agent refuses {doing}: {_printable(details) or (code.name if code else 'no reason')}.")


def reason_of(error: CloisterError) -> str:
    """The stable reason of a refusal, empty for every other error."""
    return error.reason if isinstance(error, Refusal) else ""


def _status(error: grpc.RpcError) -> tuple[grpc.StatusCode | None, str]:
    # RpcError says nothing about itself; what grpc raises is always a Call too.
    call: Any = error
    return call.code(), call.details() or ""


def _info(error: grpc.RpcError) -> agent_pb2.ErrorInfo | None:
    call: Any = error
    for key, value in call.trailing_metadata() or ():
        if key == METADATA_KEY and len(value) <= _MAX_INFO:
            try:
                return agent_pb2.ErrorInfo.FromString(value)
            except DecodeError:
                return None
    return None


def _printable(text: str) -> str:
    """A peer's words, without what would move the reader's cursor."""
    return "".join(char if char.isprintable() else " " for char in text[:500])
