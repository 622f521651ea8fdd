"""Refusals of calls, and the error that ends the agent."""

import errno
from enum import StrEnum

import grpc

from cloister.errors import CloisterError


class AgentError(CloisterError):
    """The agent cannot start or continue. The message is shown to the operator of the machine."""

    remedy = "Report the line on the console to the platform team; `reset` restarts the CVM."


class Reason(StrEnum):
    """Why a call is refused. Stable: clients map these to messages and exit codes."""

    ALREADY_ENDED = "ALREADY_ENDED"
    ALREADY_SUBMITTED = "ALREADY_SUBMITTED"
    BUSY = "BUSY"
    CONSUMED = "CONSUMED"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    DIGEST_OF_CIPHERTEXT = "DIGEST_OF_CIPHERTEXT"
    EXPIRED = "EXPIRED"
    FRAME = "FRAME"
    IMAGE_PACKAGES = "IMAGE_PACKAGES"
    INTERNAL = "INTERNAL"
    LOG_FULL = "LOG_FULL"
    MALFORMED = "MALFORMED"
    MANIFEST_CHANGED = "MANIFEST_CHANGED"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    NOT_AUTHORIZED = "NOT_AUTHORIZED"
    NO_EVIDENCE = "NO_EVIDENCE"
    NOT_READY = "NOT_READY"
    SCRATCH_FAILED = "SCRATCH_FAILED"
    SESSION_UNKNOWN = "SESSION_UNKNOWN"
    STOPPING = "STOPPING"
    STORE_FULL = "STORE_FULL"
    STREAM_REPEATED = "STREAM_REPEATED"
    TOO_LARGE = "TOO_LARGE"
    TOO_LATE = "TOO_LATE"
    UNKNOWN_ASSET = "UNKNOWN_ASSET"
    UNKNOWN_SERVICE = "UNKNOWN_SERVICE"
    WRONG_CONSENT = "WRONG_CONSENT"
    WRONG_OFFSET = "WRONG_OFFSET"
    WRONG_SIGNATURE = "WRONG_SIGNATURE"


_Code = grpc.StatusCode
_CODES = {
    Reason.ALREADY_ENDED: _Code.FAILED_PRECONDITION,
    Reason.ALREADY_SUBMITTED: _Code.FAILED_PRECONDITION,
    Reason.BUSY: _Code.RESOURCE_EXHAUSTED,
    Reason.CONSUMED: _Code.FAILED_PRECONDITION,
    Reason.DIGEST_MISMATCH: _Code.INVALID_ARGUMENT,
    Reason.DIGEST_OF_CIPHERTEXT: _Code.INVALID_ARGUMENT,
    Reason.EXPIRED: _Code.FAILED_PRECONDITION,
    Reason.FRAME: _Code.DATA_LOSS,
    Reason.IMAGE_PACKAGES: _Code.FAILED_PRECONDITION,
    Reason.INTERNAL: _Code.INTERNAL,
    Reason.LOG_FULL: _Code.RESOURCE_EXHAUSTED,
    Reason.MALFORMED: _Code.INVALID_ARGUMENT,
    Reason.MANIFEST_CHANGED: _Code.FAILED_PRECONDITION,
    Reason.MANIFEST_INVALID: _Code.INVALID_ARGUMENT,
    Reason.NOT_AUTHORIZED: _Code.PERMISSION_DENIED,
    Reason.NO_EVIDENCE: _Code.UNAVAILABLE,
    Reason.NOT_READY: _Code.FAILED_PRECONDITION,
    Reason.SCRATCH_FAILED: _Code.INTERNAL,
    Reason.SESSION_UNKNOWN: _Code.UNAUTHENTICATED,
    Reason.STOPPING: _Code.UNAVAILABLE,
    Reason.STORE_FULL: _Code.RESOURCE_EXHAUSTED,
    Reason.STREAM_REPEATED: _Code.DATA_LOSS,
    Reason.TOO_LARGE: _Code.RESOURCE_EXHAUSTED,
    Reason.TOO_LATE: _Code.FAILED_PRECONDITION,
    Reason.UNKNOWN_ASSET: _Code.NOT_FOUND,
    Reason.UNKNOWN_SERVICE: _Code.NOT_FOUND,
    Reason.WRONG_CONSENT: _Code.PERMISSION_DENIED,
    Reason.WRONG_OFFSET: _Code.OUT_OF_RANGE,
    Reason.WRONG_SIGNATURE: _Code.PERMISSION_DENIED,
}


class CallRefusal(CloisterError):
    """A call that the agent refuses. ``metadata`` is sent to the peer with the reason."""

    def __init__(self, reason: Reason, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = metadata

    @property
    def code(self) -> grpc.StatusCode:
        """The status of the call."""
        return _CODES[self.reason]


def as_refusal(error: BaseException) -> CallRefusal | None:
    """The refusal that a peer can be told of a fault; None for a fault of which no one should be told more."""
    if isinstance(error, CallRefusal):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CallRefusal(Reason.STORE_FULL, "The machine has no room left for assets and results.")
    return None


def fault_location(error: BaseException) -> str:
    """Type, module and line of a fault, for the console. The text is left out: it may contain a party's data."""
    place = "an unknown place"
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}"
