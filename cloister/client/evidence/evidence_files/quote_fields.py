"""A TDX quote from its fields: the bytes of header, TD report, signatures and certificates, made again exactly.

go-tpm-tools and go-tdx-guest restate a quote instead of keeping it. Whether the bytes are the right ones is decided by
the signatures. Sources: google/go-tdx-guest, proto/tdx.proto (QuoteV4, QuoteV5) for the fields, and its abi/abi.go for
the two SVNs of the header; Intel TDX DCAP Quoting Library API, A.3 and A.4, for the layout.
"""

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.gcp.protobuf import Message
from cloister.attestation.tdx.quote import (
    BODY_TD_1_0,
    BODY_TD_1_5,
    CERTIFICATION_PCK_CHAIN,
    CERTIFICATION_QE_REPORT,
    TD_REPORT_1_5,
    TD_REPORT_SIZES,
)

FIELDS = range(1, 6)
"""The fields of a quote."""

_WITHOUT_BODY, _VERSION_5 = 4, 5
_SIZES = {name: size for _, size, name in TD_REPORT_1_5}
_BEFORE_RTMRS = tuple(_SIZES)[: tuple(_SIZES).index("rtmr0")]
_RTMRS, _REPORT_DATA = 11, 12
_AFTER = {13: "tee_tcb_svn2", 14: "mr_service_td"}
# EnclaveReport: each field with its size, numbers first as 32 bits in the message.
_ENCLAVE = (
    ("cpu_svn", 16), ("misc_select", 4), ("reserved1", 28), ("attributes", 16), ("mr_enclave", 32), ("reserved2", 32),
    ("mr_signer", 32), ("reserved3", 96), ("isv_prod_id", 2), ("isv_svn", 2), ("reserved4", 60), ("report_data", 64),
)  # fmt: skip
_NUMBERS = ("misc_select", "isv_prod_id", "isv_svn")


def encode(quote: Message) -> tuple[bytes, int]:
    """The bytes of a quote that is given as fields, and how many bytes that no one signed followed it.

    Raises MalformedEvidence.
    """
    header, version = _header(Message(quote.bytes_(1, "header"), "tdx.Header"))
    body = quote.bytes_(2, "td_quote_body")
    made = header + (_described(Message(body, "tdx.Body")) if version == _VERSION_5 else _report(body, BODY_TD_1_0))
    signed = Message(quote.bytes_(4, "signed_data"), "tdx.SignedData")
    certification = Message(signed.bytes_(3, "certification_data"), "tdx.CertificationData")
    inner = certification.bytes_(3, "qe_report_certification_data")
    data = signed.sized(1, "signature", 64) + signed.sized(2, "ecdsa_attestation_key", 64)
    data += _certified(certification, CERTIFICATION_QE_REPORT, _vouched(Message(inner, "tdx.QEReportCertification")))
    extra = quote.optional(5, "extra_bytes") or b""
    return made + _counted(quote, 3, "signed_data_size", data), len(extra)


def _header(message: Message) -> tuple[bytes, int]:
    """48 bytes, and the version."""
    version = message.unsigned(1, "version")
    if version not in (_WITHOUT_BODY, _VERSION_5):
        raise message.malformed("version", f"is {version}, must be 4 or 5")
    kinds = message.little(2, "attestation_key_type", 2) + message.little(3, "tee_type", 4)
    versions = message.sized(5, "pce_svn", 2) + message.sized(4, "qe_svn", 2)
    vendor = message.sized(6, "qe_vendor_id", 16) + message.sized(7, "user_data", 20)
    return version.to_bytes(2, "little") + kinds + versions + vendor, version


def _described(message: Message) -> bytes:
    """A.4.2: type, size and TD report."""
    kind = message.unsigned(1, "td_quote_body_type")
    if kind not in TD_REPORT_SIZES:
        raise message.malformed("td_quote_body_type", f"is {kind}, must be 2 or 3")
    report = _report(message.bytes_(3, "td_quote_body_v5"), kind)
    return kind.to_bytes(2, "little") + _counted(message, 2, "td_quote_body_size", report)


def _report(data: bytes, kind: int) -> bytes:
    """A TD report of 584 or 648 bytes."""
    message = Message(data, "tdx.TDQuoteBody")
    made = b"".join(message.sized(at, name, _SIZES[name]) for at, name in enumerate(_BEFORE_RTMRS, 1))
    registers = message.repeated(_RTMRS, "rtmrs")
    if [len(one) for one in registers] != [_SIZES["rtmr0"]] * 4:
        raise message.malformed("rtmrs", "are not four registers of 48 bytes")
    made += b"".join(registers) + message.sized(_REPORT_DATA, "report_data", _SIZES["report_data"])
    if kind == BODY_TD_1_5:
        made += b"".join(message.sized(at, name, _SIZES[name]) for at, name in _AFTER.items())
    return made


def _vouched(message: Message) -> bytes:
    """A.3.11: the quoting enclave's report, its signature, and the chain of the platform's key."""
    enclave = Message(message.bytes_(1, "qe_report"), "tdx.EnclaveReport")
    report = b"".join(
        enclave.little(at, name, size) if name in _NUMBERS else enclave.sized(at, name, size)
        for at, (name, size) in enumerate(_ENCLAVE, 1)
    )
    authentication = Message(message.optional(3, "qe_auth_data") or b"", "tdx.QeAuthData")
    data = authentication.optional(2, "data") or b""
    if authentication.unsigned(1, "parsed_data_size") != len(data) or len(data) >> 16:
        raise authentication.malformed("parsed_data_size", f"is not {len(data)}, the size of the data")
    chain = Message(message.bytes_(4, "pck_certificate_chain_data"), "tdx.PCKCertificateChain")
    return b"".join(
        (
            report,
            message.sized(2, "qe_report_signature", 64),
            len(data).to_bytes(2, "little") + data,
            _certified(chain, CERTIFICATION_PCK_CHAIN, chain.bytes_(3, "pck_cert_chain")),
        )
    )


def _certified(message: Message, wanted: int, data: bytes) -> bytes:
    """A.3.9 (QE certification data): a type, a size and that many bytes."""
    kind = message.unsigned(1, "certificate_data_type")
    if kind != wanted:
        raise message.malformed("certificate_data_type", f"is {kind}, must be {wanted}")
    return kind.to_bytes(2, "little") + _counted(message, 2, "size", data)


def _counted(message: Message, number: int, name: str, data: bytes) -> bytes:
    """Its size, which the message names, and the data. Raises MalformedEvidence if it names another one."""
    if (size := message.unsigned(number, name)) != len(data):
        raise MalformedEvidence(name, 0, f"is {size}, but the fields have {len(data)} bytes")
    return len(data).to_bytes(4, "little") + data
