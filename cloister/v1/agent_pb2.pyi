from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OpenSessionRequest(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    def __init__(self, nonce: _Optional[bytes] = ...) -> None: ...

class OpenSessionResponse(_message.Message):
    __slots__ = ("session_id", "hpke_public_key", "evidence")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    HPKE_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    hpke_public_key: bytes
    evidence: bytes
    def __init__(self, session_id: _Optional[str] = ..., hpke_public_key: _Optional[bytes] = ..., evidence: _Optional[bytes] = ...) -> None: ...

class BindSessionRequest(_message.Message):
    __slots__ = ("session_id", "sealed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    sealed: bytes
    def __init__(self, session_id: _Optional[str] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class BindPlaintext(_message.Message):
    __slots__ = ("secret", "party_key", "signature")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    PARTY_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    secret: bytes
    party_key: bytes
    signature: bytes
    def __init__(self, secret: _Optional[bytes] = ..., party_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Bound(_message.Message):
    __slots__ = ("transcript", "roles", "parties")
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    transcript: bytes
    roles: _containers.RepeatedScalarFieldContainer[str]
    parties: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, transcript: _Optional[bytes] = ..., roles: _Optional[_Iterable[str]] = ..., parties: _Optional[_Iterable[str]] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("session_id", "stream", "counter", "last", "ciphertext")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    stream: int
    counter: int
    last: bool
    ciphertext: bytes
    def __init__(self, session_id: _Optional[str] = ..., stream: _Optional[int] = ..., counter: _Optional[int] = ..., last: _Optional[bool] = ..., ciphertext: _Optional[bytes] = ...) -> None: ...

class ErrorInfo(_message.Message):
    __slots__ = ("reason", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    reason: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AssetStatus(_message.Message):
    __slots__ = ("name", "kind", "provider", "size", "received", "complete")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    provider: str
    size: int
    received: int
    complete: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., provider: _Optional[str] = ..., size: _Optional[int] = ..., received: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class SlotStatus(_message.Message):
    __slots__ = ("consumer", "ready", "consumed", "consumed_at")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_AT_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    ready: bool
    consumed: bool
    consumed_at: str
    def __init__(self, consumer: _Optional[str] = ..., ready: _Optional[bool] = ..., consumed: _Optional[bool] = ..., consumed_at: _Optional[str] = ...) -> None: ...

class ApprovalStatus(_message.Message):
    __slots__ = ("party", "approved", "approved_at")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    APPROVED_AT_FIELD_NUMBER: _ClassVar[int]
    party: str
    approved: bool
    approved_at: str
    def __init__(self, party: _Optional[str] = ..., approved: _Optional[bool] = ..., approved_at: _Optional[str] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("state", "detail", "manifest_digest", "assets", "results", "events", "run_seconds", "hold", "notices", "approvals")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ASSETS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    state: str
    detail: str
    manifest_digest: bytes
    assets: _containers.RepeatedCompositeFieldContainer[AssetStatus]
    results: _containers.RepeatedCompositeFieldContainer[SlotStatus]
    events: int
    run_seconds: int
    hold: bool
    notices: _containers.RepeatedScalarFieldContainer[str]
    approvals: _containers.RepeatedCompositeFieldContainer[ApprovalStatus]
    def __init__(self, state: _Optional[str] = ..., detail: _Optional[str] = ..., manifest_digest: _Optional[bytes] = ..., assets: _Optional[_Iterable[_Union[AssetStatus, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[SlotStatus, _Mapping]]] = ..., events: _Optional[int] = ..., run_seconds: _Optional[int] = ..., hold: _Optional[bool] = ..., notices: _Optional[_Iterable[str]] = ..., approvals: _Optional[_Iterable[_Union[ApprovalStatus, _Mapping]]] = ...) -> None: ...

class SubmitManifestRequest(_message.Message):
    __slots__ = ("manifest", "hold")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    manifest: bytes
    hold: bool
    def __init__(self, manifest: _Optional[bytes] = ..., hold: _Optional[bool] = ...) -> None: ...

class SubmitManifestResponse(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    def __init__(self, digest: _Optional[bytes] = ...) -> None: ...

class UploadOffsetRequest(_message.Message):
    __slots__ = ("asset",)
    ASSET_FIELD_NUMBER: _ClassVar[int]
    asset: str
    def __init__(self, asset: _Optional[str] = ...) -> None: ...

class UploadOffsetResponse(_message.Message):
    __slots__ = ("offset", "complete")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    complete: bool
    def __init__(self, offset: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class UploadStart(_message.Message):
    __slots__ = ("asset", "consent", "offset")
    ASSET_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    asset: str
    consent: bytes
    offset: int
    def __init__(self, asset: _Optional[str] = ..., consent: _Optional[bytes] = ..., offset: _Optional[int] = ...) -> None: ...

class UploadProgress(_message.Message):
    __slots__ = ("offset", "complete")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    offset: int
    complete: bool
    def __init__(self, offset: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("from_sequence", "follow")
    FROM_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    from_sequence: int
    follow: bool
    def __init__(self, from_sequence: _Optional[int] = ..., follow: _Optional[bool] = ...) -> None: ...

class EventRecord(_message.Message):
    __slots__ = ("line",)
    LINE_FIELD_NUMBER: _ClassVar[int]
    line: bytes
    def __init__(self, line: _Optional[bytes] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("offset", "follow")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    offset: int
    follow: bool
    def __init__(self, offset: _Optional[int] = ..., follow: _Optional[bool] = ...) -> None: ...

class LogChunk(_message.Message):
    __slots__ = ("data", "truncated")
    DATA_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    truncated: bool
    def __init__(self, data: _Optional[bytes] = ..., truncated: _Optional[bool] = ...) -> None: ...

class FetchResultRequest(_message.Message):
    __slots__ = ("consumer", "offset")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    offset: int
    def __init__(self, consumer: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class ResultStart(_message.Message):
    __slots__ = ("size",)
    SIZE_FIELD_NUMBER: _ClassVar[int]
    size: int
    def __init__(self, size: _Optional[int] = ...) -> None: ...

class ReleaseResultRequest(_message.Message):
    __slots__ = ("consumer", "ciphertext_digest")
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    ciphertext_digest: bytes
    def __init__(self, consumer: _Optional[str] = ..., ciphertext_digest: _Optional[bytes] = ...) -> None: ...

class ReleaseResultResponse(_message.Message):
    __slots__ = ("key", "approvals")
    KEY_FIELD_NUMBER: _ClassVar[int]
    APPROVALS_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    approvals: _containers.RepeatedCompositeFieldContainer[Approval]
    def __init__(self, key: _Optional[bytes] = ..., approvals: _Optional[_Iterable[_Union[Approval, _Mapping]]] = ...) -> None: ...

class Approval(_message.Message):
    __slots__ = ("party", "transcript", "signature")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    TRANSCRIPT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    party: str
    transcript: bytes
    signature: bytes
    def __init__(self, party: _Optional[str] = ..., transcript: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class PreviewRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PreviewResponse(_message.Message):
    __slots__ = ("receipt_digest", "files", "log_size")
    RECEIPT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    receipt_digest: bytes
    files: _containers.RepeatedCompositeFieldContainer[PreviewFile]
    log_size: int
    def __init__(self, receipt_digest: _Optional[bytes] = ..., files: _Optional[_Iterable[_Union[PreviewFile, _Mapping]]] = ..., log_size: _Optional[int] = ...) -> None: ...

class PreviewFile(_message.Message):
    __slots__ = ("name", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    size: int
    def __init__(self, name: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("approval", "rejection")
    APPROVAL_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    approval: bytes
    rejection: bytes
    def __init__(self, approval: _Optional[bytes] = ..., rejection: _Optional[bytes] = ...) -> None: ...

class DecideResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProofRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ProofChunk(_message.Message):
    __slots__ = ("receipt", "evidence")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    receipt: bytes
    evidence: bytes
    def __init__(self, receipt: _Optional[bytes] = ..., evidence: _Optional[bytes] = ...) -> None: ...

class MetricsRequest(_message.Message):
    __slots__ = ("log",)
    LOG_FIELD_NUMBER: _ClassVar[int]
    log: bool
    def __init__(self, log: _Optional[bool] = ...) -> None: ...

class MetricsResponse(_message.Message):
    __slots__ = ("metrics", "log")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    metrics: str
    log: str
    def __init__(self, metrics: _Optional[str] = ..., log: _Optional[str] = ...) -> None: ...

class WithdrawRequest(_message.Message):
    __slots__ = ("withdrawal",)
    WITHDRAWAL_FIELD_NUMBER: _ClassVar[int]
    withdrawal: bytes
    def __init__(self, withdrawal: _Optional[bytes] = ...) -> None: ...

class WithdrawResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
