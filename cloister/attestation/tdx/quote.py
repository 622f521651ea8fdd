"""TDX quotes, version 4 and 5: parsing only.

Source: Intel TDX DCAP Quoting Library API, appendix A: A.3 (version 4), A.4 (version 5); the report of the quoting
enclave is A.3.10, which is REPORTBODY of the Intel SDM, volume 3D. All integers are little endian. The only supported
certification data is what Intel's quoting enclave for TDX makes: type 6 (its report and its own certification data)
around type 5 (the certificate chain of the platform's key in PEM). TDX has ECDSA P-256 keys only.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.reader import Reader
from cloister.attestation.x509 import pem
from cloister.attestation.x509.certificate import Certificate

MAX_SIZE = 32 * 1024
"""Bytes of a quote, with the zeros that some kernels append."""

MAX_CERTIFICATES = 4
"""Certificates of the platform's chain; Intel's has three."""

INTEL_QE = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""The vendor of Intel's quoting enclaves (A.3.1, QE Vendor ID)."""

KEY_ECDSA_P256 = 2
TEE_TDX = 0x81
BODY_TD_1_0 = 2
BODY_TD_1_5 = 3
CERTIFICATION_PCK_CHAIN = 5
CERTIFICATION_QE_REPORT = 6

_HEADER_SIZE = 48
_MAX_AUTHENTICATION_DATA = 1024
_MAX_PEM = 16 * 1024

# offset, size, member. A.3.2 (TD quote body, TD report 1.0; A.4.2 is its descriptor in version 5).
TD_REPORT_1_0 = (
    (0, 16, "tee_tcb_svn"),
    (16, 48, "mr_seam"),
    (64, 48, "mr_signer_seam"),
    (112, 8, "seam_attributes"),
    (120, 8, "td_attributes"),
    (128, 8, "xfam"),
    (136, 48, "mr_td"),
    (184, 48, "mr_config_id"),
    (232, 48, "mr_owner"),
    (280, 48, "mr_owner_config"),
    (328, 48, "rtmr0"),
    (376, 48, "rtmr1"),
    (424, 48, "rtmr2"),
    (472, 48, "rtmr3"),
    (520, 64, "report_data"),
)
# A.4.4 (TD quote body for TDX 1.5): as 1.0, plus the fields for a module that was updated under the TD.
TD_REPORT_1_5 = (*TD_REPORT_1_0, (584, 16, "tee_tcb_svn2"), (600, 48, "mr_service_td"))
# A.3.10 (enclave report body), without reserved fields and those that do not apply to a quoting enclave.
ENCLAVE_REPORT = (
    (0, 16, "cpu_svn"),
    (16, 4, "misc_select"),
    (48, 16, "attributes"),
    (64, 32, "mr_enclave"),
    (128, 32, "mr_signer"),
    (256, 2, "isv_prod_id"),
    (258, 2, "isv_svn"),
    (320, 64, "report_data"),
)
TD_REPORT_SIZES = {BODY_TD_1_0: 584, BODY_TD_1_5: 648}
ENCLAVE_REPORT_SIZE = 384


@dataclass(frozen=True)
class TdReport:
    """What the TDX module reports about the TD. Fields have the names of A.3.2 and A.4.4.

    Measurements are SHA-384 (48 bytes), attributes and XFAM little-endian bit sets. A TD report 1.0 lacks the last two
    fields: each is None.
    """

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes
    tee_tcb_svn2: bytes | None = None
    mr_service_td: bytes | None = None

    @property
    def rtmrs(self) -> tuple[bytes, bytes, bytes, bytes]:
        """RTMR 0 to 3."""
        return self.rtmr0, self.rtmr1, self.rtmr2, self.rtmr3

    @property
    def body(self) -> int:
        """The type of quote body that has these fields: that of a TD report 1.0 or 1.5."""
        return BODY_TD_1_0 if self.mr_service_td is None else BODY_TD_1_5


@dataclass(frozen=True)
class EnclaveReport:
    """What the CPU reports about the quoting enclave, by the names of A.3.10. Integers are little-endian bytes."""

    cpu_svn: bytes
    misc_select: bytes
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: bytes
    isv_svn: bytes
    report_data: bytes


@dataclass(frozen=True)
class TdxQuote:
    """A parsed quote. Its signatures are not verified yet.

    version: 4 or 5.
    qe_vendor: the vendor of the quoting enclave, 16 bytes.
    report: the TD report.
    signed: the bytes under ``signature``: header and TD report.
    signature: by ``attestation_key``; r and s, 64 bytes.
    attestation_key: x and y of a P-256 key, 64 bytes.
    qe_report: the report of the quoting enclave.
    qe_report_bytes: the bytes under ``qe_report_signature``.
    qe_report_signature: by the platform's key; r and s, 64 bytes.
    authentication_data: what the quoting enclave hashes with the attestation key; may be empty.
    pck_chain: certificates (DER), that of the platform's key first.
    """

    version: int
    qe_vendor: bytes
    report: TdReport
    signed: bytes
    signature: bytes
    attestation_key: bytes
    qe_report: EnclaveReport
    qe_report_bytes: bytes
    qe_report_signature: bytes
    authentication_data: bytes
    pck_chain: tuple[bytes, ...]

    @functools.cached_property
    def certificates(self) -> tuple[Certificate, ...]:
        """``pck_chain``, parsed. Raises MalformedEvidence."""
        return self.parse_chain(Certificate.parse)

    def parse_chain(self, parse: Callable[[bytes, str], Certificate]) -> tuple[Certificate, ...]:
        """``pck_chain``, parsed by ``parse(der, field)``. Raises MalformedEvidence."""
        return tuple(parse(der, f"PCK chain[{index}]") for index, der in enumerate(self.pck_chain))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the bytes of a quote. Raises MalformedEvidence."""
        reader = Reader(data, "TDX quote", "little")
        if len(data) > MAX_SIZE:
            raise reader.malformed("size", f"the quote has {len(data)} bytes, at most {MAX_SIZE} are allowed")
        version, vendor = _read_header(reader)
        kind = BODY_TD_1_0
        if version == 5:
            start = reader.offset
            kind = reader.unsigned(2, "body.type")
            size = reader.unsigned(4, "body.size")
            if size != TD_REPORT_SIZES.get(kind):
                raise reader.malformed(
                    "body.type", f"is {kind} with {size} bytes, which is not a known TD report", start
                )
        report = TdReport(**_fields(reader.take(TD_REPORT_SIZES[kind], "body"), _td_layout(kind)))
        signed = data[: reader.offset]
        inner = Reader(reader.sized(4, MAX_SIZE, "signature data"), "TDX quote.signature data", "little")
        if any(data[reader.offset :]):
            raise reader.malformed("end", "bytes other than zeros follow the quote")
        signature = inner.take(64, "signature")
        key = inner.take(64, "attestation key")
        certification = _certification(inner, CERTIFICATION_QE_REPORT)
        inner.end()
        qe_report_bytes = certification.take(ENCLAVE_REPORT_SIZE, "QE report")
        qe_report_signature = certification.take(64, "QE report signature")
        authentication_data = certification.sized(2, _MAX_AUTHENTICATION_DATA, "QE authentication data")
        pck = _certification(certification, CERTIFICATION_PCK_CHAIN)
        certification.end()
        return cls(
            version=version,
            qe_vendor=vendor,
            report=report,
            signed=signed,
            signature=signature,
            attestation_key=key,
            qe_report=EnclaveReport(**_fields(qe_report_bytes, ENCLAVE_REPORT)),
            qe_report_bytes=qe_report_bytes,
            qe_report_signature=qe_report_signature,
            authentication_data=authentication_data,
            pck_chain=_chain(pck.take(pck.remaining, "PCK chain")),
        )


def size_of(data: bytes) -> int:
    """The bytes of a quote that begins here, signatures and certificates included; what follows is not a part of it.

    Raises MalformedEvidence when ``data`` is shorter.
    """
    reader = Reader(data, "TDX quote", "little")
    version, _ = _read_header(reader)
    size = TD_REPORT_SIZES[BODY_TD_1_0]
    if version == 5:
        reader.unsigned(2, "body.type")
        size = reader.unsigned(4, "body.size")
    reader.take(size, "body")
    reader.sized(4, MAX_SIZE, "signature data")
    return reader.offset


def _chain(text: bytes) -> tuple[bytes, ...]:
    """Intel's library appends a zero byte to the text."""
    return pem.read(text.removesuffix(b"\0"), "TDX quote.PCK chain", limit=_MAX_PEM, most=MAX_CERTIFICATES)


def _read_header(reader: Reader) -> tuple[int, bytes]:
    """A.3.1: version and vendor of the quoting enclave. Fields that determine the layout must have known values."""
    version = reader.unsigned(2, "version")
    if version not in (4, 5):
        raise reader.malformed("version", f"is {version}, must be 4 or 5", 0)
    kind = reader.unsigned(2, "attestation key type")
    if kind != KEY_ECDSA_P256:
        raise reader.malformed("attestation key type", f"is {kind}, must be {KEY_ECDSA_P256} (ECDSA P-256)", 2)
    tee = reader.unsigned(4, "TEE type")
    if tee != TEE_TDX:
        raise reader.malformed("TEE type", f"is {tee:#x}, must be {TEE_TDX:#x} (TDX)", 4)
    reader.take(4, "reserved")
    vendor = reader.take(16, "QE vendor ID")
    reader.take(_HEADER_SIZE - reader.offset, "user data")
    return version, vendor


def _certification(reader: Reader, wanted: int) -> Reader:
    """A.3.9 (QE certification data): a type, a size and that many bytes."""
    start = reader.offset
    kind = reader.unsigned(2, "certification data.type")
    if kind != wanted:
        raise reader.malformed("certification data.type", f"is {kind}, must be {wanted}", start)
    return Reader(reader.sized(4, MAX_SIZE, "certification data"), f"TDX quote.certification data {kind}", "little")


def _td_layout(kind: int) -> tuple[tuple[int, int, str], ...]:
    return TD_REPORT_1_5 if kind == BODY_TD_1_5 else TD_REPORT_1_0


def _fields(block: bytes, layout: tuple[tuple[int, int, str], ...]) -> dict[str, Any]:
    """The members of a block by its layout."""
    return {name: block[offset : offset + size] for offset, size, name in layout}
