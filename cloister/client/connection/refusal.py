"""From an agent's refusal to an error: one sentence, what to do, and an exit code.

An agent refuses with a gRPC status, one sentence, and a stable reason in the trailing metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from cloister.errors import CloisterError, InputError, ProofError, RefusedError, UnreachableError
from cloister.protocol import canonical, text
from cloister.units import local_time
from cloister.v1 import agent_pb2

METADATA_KEY = "cloister-error-bin"
_MAX_INFO = 16 * 1024


class Refusal(RefusedError):
    """The agent refused a call. ``reason`` is a stable name (SCREAMING_SNAKE), ``metadata`` holds the details."""

    def __init__(self, message: str, *, reason: str, metadata: Mapping[str, str], hint: str, exit_code: int) -> None:
        super().__init__(message, hint=hint, exit_code=exit_code)
        self.reason = reason
        self.metadata = dict(metadata)


class ConnectionLost(UnreachableError):
    """The connection ended, or no answer came in time: the same call may succeed on a new one.

    ``deadline`` is true when the call's own deadline ended it: then the connection may be fine.
    """

    def __init__(self, message: str, *, hint: str, deadline: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.deadline = deadline


class DamagedStream(ProofError):
    """Frames arrived out of order, changed or truncated."""

    remedy = "Run the command again; if it fails again, something between you and the CVM changes the traffic."


@dataclass(frozen=True)
class _Remedy:
    hint: str
    exit_code: int = RefusedError.exit_code


_INPUT, _PROOF = InputError.exit_code, ProofError.exit_code
_INTERCEPTED = "The connection may be intercepted. Run the command again; if it fails again, tell the platform team."
_VERSION = "Use the version of Cloister that the workspace's image was built with."

_REMEDIES = {
    "ALREADY_ENDED": _Remedy("`events` shows how it ended; `reset` makes the machine ready for another."),
    "ALREADY_SUBMITTED": _Remedy("A CVM accepts one manifest per boot: `reset` reboots it."),
    "BUSY": _Remedy("Wait until the other call has ended, then run the command again."),
    "CONSUMED": _Remedy("A result is released once; use the copy that was fetched then."),
    "DIGEST_MISMATCH": _Remedy("Compare the file with the manifest: `checksum` shows its digest.", _INPUT),
    "DIGEST_OF_CIPHERTEXT": _Remedy("Run the command again: it fetches the result from the beginning."),
    "EXPIRED": _Remedy("Results are kept as long as the manifest says, and then wiped for good."),
    "FRAME": _Remedy(_INTERCEPTED, _PROOF),
    "IMAGE_PACKAGES": _Remedy(
        "Agree on a manifest for this image: its author passes the image's manifest to `bundle` and `manifest` as "
        "--image.",
        _INPUT,
    ),
    "INTERNAL": _Remedy("Tell the platform team; `reset` reboots the machine.", 1),
    "LOG_FULL": _Remedy("Ask an owner to `reset` the machine."),
    "MALFORMED": _Remedy(_VERSION),
    "MANIFEST_CHANGED": _Remedy("A manifest was submitted meanwhile; run the command again."),
    "MANIFEST_INVALID": _Remedy("`manifest` writes the canonical form.", _INPUT),
    "NOT_AUTHORIZED": _Remedy(
        "Only keys named in the manifest or the workspace may do this: check --key, or ask the owner."
    ),
    "NOT_READY": _Remedy("`events --follow` shows when the state changes."),
    "NO_EVIDENCE": _Remedy("Run the command again; if it fails again, ask the platform team to restart the CVM."),
    "SESSION_UNKNOWN": _Remedy("Run the command again."),
    "STOPPING": _Remedy("Ask the platform team why, and when the machine starts again.", 1),
    "SCRATCH_FAILED": _Remedy(
        "Run the command again; if it fails again, ask the platform team to look at the disk of the CVM."
    ),
    "STORE_FULL": _Remedy("Ask the owner whether to `reset` the machine; run the command again if it has room later."),
    "STREAM_REPEATED": _Remedy(_INTERCEPTED, _PROOF),
    "TOO_LARGE": _Remedy("Lower the sizes in the manifest, or ask the platform team for a larger CVM."),
    "TOO_LATE": _Remedy("`events` shows what came first; nothing was changed."),
    "UNKNOWN_ASSET": _Remedy("`review` shows the assets of a manifest.", _INPUT),
    "UNKNOWN_SERVICE": _Remedy(_VERSION),
    "WRONG_CONSENT": _Remedy("Compare your manifest with those of the other parties.", _PROOF),
    "WRONG_OFFSET": _Remedy("Run the command again: it asks where the upload continues."),
    "WRONG_SIGNATURE": _Remedy("Compare your manifest with those of the other parties.", _PROOF),
}
"""Remedies for the reasons whose sentence does not already say what to do."""

_LOST = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    # gRPC's own, for a connection whose bytes were damaged: an agent's refusal has a reason.
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)
"""Statuses without a reason that say that the connection is lost."""

_ENDED = _Remedy("The computation has ended: `events` shows why, and `reset` makes the machine ready for another.", 1)
"""NOT_READY in a final state."""


def translate(error: grpc.RpcError, doing: str, address: object) -> CloisterError:
    """The error to raise for a failed call; ``doing`` says what failed, such as "reading the events".

    Raise it ``from None``: it says all that gRPC's error says, whose traceback explains nothing to a reader.
    """
    code, details = _status(error)
    info = _info(error)
    if info is not None:
        ended = info.reason == "NOT_READY" and info.metadata.get("state") in ("Failed", "Stopped")
        advice = _ENDED if ended else _REMEDIES.get(info.reason, _Remedy(""))
        sentence = details or f"The agent refuses {doing} ({info.reason})."
        return Refusal(
            _printable(_in_local_time(sentence, info.metadata.get("consumed_at") or info.metadata.get("time", ""))),
            reason=info.reason,
            metadata=info.metadata,
            hint=advice.hint,
            exit_code=advice.exit_code,
        )
    if code is grpc.StatusCode.CANCELLED:
        return RefusedError(
            f"The agent cancelled {doing}: another call replaced it, or no data came for too long.",
            hint="Run the command again: what has arrived is kept.",
        )
    if code in _LOST:
        late = code is grpc.StatusCode.DEADLINE_EXCEEDED
        reason = "no answer came in time" if late else "the connection ended"
        return ConnectionLost(
            f"{doing[0].upper()}{doing[1:]} failed at {address}: {reason}.",
            hint="Check that the CVM runs and that its network allows your address, then run the command again.",
            deadline=late,
        )
    if code is grpc.StatusCode.DATA_LOSS:
        return DamagedStream(
            f"{doing[0].upper()}{doing[1:]} failed: {_printable(details) or 'the stream was damaged'}."
        )
    return RefusedError(f"The agent refuses {doing}: {_printable(details) or (code.name if code else 'no reason')}.")


def remedy(reason: str) -> tuple[str, int]:
    """Return the hint for a refusal with this reason, and the exit code of the verb."""
    found = _REMEDIES[reason]
    return found.hint, found.exit_code


def reason_of(error: CloisterError) -> str:
    """The stable reason of a refusal, empty for every other error."""
    return error.reason if isinstance(error, Refusal) else ""


def _status(error: grpc.RpcError) -> tuple[grpc.StatusCode | None, str]:
    # RpcError declares no members; what grpc raises is always a Call, too.
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
    """The sentence with its time in the reader's time zone."""
    try:
        when = canonical.from_time(moment, what="A time")
    except canonical.FormatError:
        return sentence
    return sentence.replace(moment, local_time(when))


def _printable(said: str) -> str:
    """A peer's words without terminal control characters."""
    return text.printable(said[:500], replacement=" ")
