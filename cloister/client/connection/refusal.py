"""What an agent's refusal means to the person at the keyboard: one sentence, what to do, and an exit code.

An agent refuses with a gRPC status, one sentence, and a stable reason in the trailing metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cloister.errors import CloisterError, InputError, ProofError, RefusedError, UnreachableError
from cloister.protocol import canonical, text
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

    remedy = "Run the command again; if it fails again, something between you and the CVM changes the traffic."


@dataclass(frozen=True)
class _Meaning:
    hint: str
    exit_code: int = RefusedError.exit_code


_INPUT, _PROOF = InputError.exit_code, ProofError.exit_code

_MEANINGS = {
    "ALREADY_ENDED": _Meaning("`events` shows how it ended; `reset` makes the machine ready for another."),
    "ALREADY_SUBMITTED": _Meaning("A CVM takes one manifest in its life: `reset` gives it a new one."),
    "BUSY": _Meaning("Wait until the other one has ended, then run the command again."),
    "CONSUMED": _Meaning("The key of a result goes out once; use the copy that was fetched then."),
    "DIGEST_MISMATCH": _Meaning("Compare the file with the manifest: `checksum` shows its digest.", _INPUT),
    "DIGEST_OF_CIPHERTEXT": _Meaning("Run the command again: it fetches the result anew."),
    "EXPIRED": _Meaning("Results are kept as long as the manifest says, and then wiped for good."),
    "FRAME": _Meaning("Somebody may stand between you and the machine; run the command again.", _PROOF),
    "INTERNAL": _Meaning("Tell the platform team; `reset` gives the machine a new start.", 1),
    "LOG_FULL": _Meaning("An owner can `reset` the machine."),
    "MALFORMED": _Meaning("Use the version of Cloister that the workspace's image was built with."),
    "MANIFEST_CHANGED": _Meaning("A manifest was submitted meanwhile; run the command again."),
    "MANIFEST_INVALID": _Meaning("`manifest` writes the canonical form.", _INPUT),
    "NOT_AUTHORIZED": _Meaning("Only keys that manifest or workspace name may do this: check --key, or ask the owner."),
    "NOT_READY": _Meaning("`events --follow` shows when it is."),
    "SESSION_UNKNOWN": _Meaning("Run the command again."),
    "STREAM_REPEATED": _Meaning("Somebody may stand between you and the machine; run the command again.", _PROOF),
    "TOO_LARGE": _Meaning("Declare less in the manifest, or ask the platform team for a larger CVM."),
    "UNKNOWN_ASSET": _Meaning("`review` shows the assets of a manifest.", _INPUT),
    "UNKNOWN_SERVICE": _Meaning("Use the version of Cloister that the workspace's image was built with."),
    "UNSUPPORTED_KIND": _Meaning("Agree on an algorithm of kind python.", _INPUT),
    "WRONG_CONSENT": _Meaning("Compare your manifest with the others'.", _PROOF),
    "WRONG_OFFSET": _Meaning("Run the command again: it asks where the upload continues."),
}
"""For reasons whose remedy the reader would not guess from the agent's sentence."""

_ENDED = _Meaning("The computation has ended: `events` shows why, and `reset` makes the machine ready for another.", 1)
"""NOT_READY in a state that nothing follows."""


def translate(error: grpc.RpcError, doing: str, address: object) -> CloisterError:
    """The error to raise for a failed call; ``doing`` completes "... failed"."""
    code, details = _status(error)
    info = _info(error)
    if info is not None:
        ended = info.reason == "NOT_READY" and info.metadata.get("state") in ("Failed", "Stopped")
        meaning = _ENDED if ended else _MEANINGS.get(info.reason, _Meaning(""))
        sentence = details or f"The agent refuses {doing} ({info.reason})."
        return Refusal(
            _printable(_in_local_time(sentence, info.metadata.get("consumed_at", ""))),
            reason=info.reason,
            metadata=info.metadata,
            hint=meaning.hint,
            exit_code=meaning.exit_code,
        )
    if code is grpc.StatusCode.CANCELLED:
        return RefusedError(
            f"The agent ended {doing}: another one of the same began, or nothing came for too long.",
            hint="Run the command again: what has arrived is kept.",
        )
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
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


def remedy(reason: str) -> tuple[str, int]:
    """What to do about a refusal with this reason, and the exit code of the verb."""
    meaning = _MEANINGS[reason]
    return meaning.hint, meaning.exit_code


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


def _in_local_time(sentence: str, moment: str) -> str:
    """The sentence with its time in the reader's zone."""
    try:
        when = canonical.from_time(moment, what="A time")
    except canonical.FormatError:
        return sentence
    return sentence.replace(moment, when.astimezone().isoformat(sep=" ", timespec="seconds"))


def _printable(said: str) -> str:
    """A peer's words, without what would move the reader's cursor."""
    return text.printable(said[:500], replacement=" ")
