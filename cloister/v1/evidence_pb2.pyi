from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Evidence(_message.Message):
    __slots__ = ("version", "platform", "session", "receipt", "event_log_key", "boot_configuration", "runtime_log", "tpm_quote", "ak_certificates", "boot_event_log", "snp_report", "snp_certificates", "tdx_quote", "ccel", "hcl_report", "launch_endorsement", "collateral")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    EVENT_LOG_KEY_FIELD_NUMBER: _ClassVar[int]
    BOOT_CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_LOG_FIELD_NUMBER: _ClassVar[int]
    TPM_QUOTE_FIELD_NUMBER: _ClassVar[int]
    AK_CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    BOOT_EVENT_LOG_FIELD_NUMBER: _ClassVar[int]
    SNP_REPORT_FIELD_NUMBER: _ClassVar[int]
    SNP_CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    TDX_QUOTE_FIELD_NUMBER: _ClassVar[int]
    CCEL_FIELD_NUMBER: _ClassVar[int]
    HCL_REPORT_FIELD_NUMBER: _ClassVar[int]
    LAUNCH_ENDORSEMENT_FIELD_NUMBER: _ClassVar[int]
    COLLATERAL_FIELD_NUMBER: _ClassVar[int]
    version: int
    platform: str
    session: SessionBinding
    receipt: ReceiptBinding
    event_log_key: bytes
    boot_configuration: bytes
    runtime_log: _containers.RepeatedCompositeFieldContainer[Measured]
    tpm_quote: TpmQuote
    ak_certificates: _containers.RepeatedScalarFieldContainer[bytes]
    boot_event_log: bytes
    snp_report: bytes
    snp_certificates: bytes
    tdx_quote: bytes
    ccel: bytes
    hcl_report: bytes
    launch_endorsement: bytes
    collateral: _containers.RepeatedCompositeFieldContainer[CollateralItem]
    def __init__(self, version: _Optional[int] = ..., platform: _Optional[str] = ..., session: _Optional[_Union[SessionBinding, _Mapping]] = ..., receipt: _Optional[_Union[ReceiptBinding, _Mapping]] = ..., event_log_key: _Optional[bytes] = ..., boot_configuration: _Optional[bytes] = ..., runtime_log: _Optional[_Iterable[_Union[Measured, _Mapping]]] = ..., tpm_quote: _Optional[_Union[TpmQuote, _Mapping]] = ..., ak_certificates: _Optional[_Iterable[bytes]] = ..., boot_event_log: _Optional[bytes] = ..., snp_report: _Optional[bytes] = ..., snp_certificates: _Optional[bytes] = ..., tdx_quote: _Optional[bytes] = ..., ccel: _Optional[bytes] = ..., hcl_report: _Optional[bytes] = ..., launch_endorsement: _Optional[bytes] = ..., collateral: _Optional[_Iterable[_Union[CollateralItem, _Mapping]]] = ...) -> None: ...

class SessionBinding(_message.Message):
    __slots__ = ("nonce", "tls_key_digest", "hpke_key_digest", "manifest_digest")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    TLS_KEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    HPKE_KEY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    tls_key_digest: bytes
    hpke_key_digest: bytes
    manifest_digest: bytes
    def __init__(self, nonce: _Optional[bytes] = ..., tls_key_digest: _Optional[bytes] = ..., hpke_key_digest: _Optional[bytes] = ..., manifest_digest: _Optional[bytes] = ...) -> None: ...

class ReceiptBinding(_message.Message):
    __slots__ = ("payload_digest", "manifest_digest", "log_head")
    PAYLOAD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LOG_HEAD_FIELD_NUMBER: _ClassVar[int]
    payload_digest: bytes
    manifest_digest: bytes
    log_head: bytes
    def __init__(self, payload_digest: _Optional[bytes] = ..., manifest_digest: _Optional[bytes] = ..., log_head: _Optional[bytes] = ...) -> None: ...

class Measured(_message.Message):
    __slots__ = ("kind", "digest")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    kind: str
    digest: bytes
    def __init__(self, kind: _Optional[str] = ..., digest: _Optional[bytes] = ...) -> None: ...

class TpmQuote(_message.Message):
    __slots__ = ("attest", "signature", "ak_public", "pcrs")
    ATTEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    AK_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    PCRS_FIELD_NUMBER: _ClassVar[int]
    attest: bytes
    signature: bytes
    ak_public: bytes
    pcrs: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, attest: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., ak_public: _Optional[bytes] = ..., pcrs: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CollateralItem(_message.Message):
    __slots__ = ("kind", "content")
    KIND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    content: bytes
    def __init__(self, kind: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...
