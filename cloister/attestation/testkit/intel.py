"""A simulated Intel: root, authorities, a platform's key, and endorsements of the platform.

It has Intel's formats and names (see :mod:`cloister.attestation.tdx` for the sources) but another root: a verifier
accepts its evidence only if the caller passes :meth:`Intel.anchor`; the verdict then says that it is simulated.

Long because quote, certificates and endorsements are made by the same keys.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloister.attestation.collateral_source import CERTIFICATE, CRL, QE_IDENTITY, TCB_INFO, InMemory
from cloister.attestation.tdx import quote as layout
from cloister.attestation.tdx.certificates import PCK_ISSUERS, PCK_NAME, SGX_EXTENSION, SIGNER_NAME
from cloister.attestation.testkit.key_usage import AUTHORITY, SIGNER, key_usage
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.roots import INTEL, Anchor

ROOT_NAME = "Intel SGX Root CA"

_YEAR = timedelta(days=365)
_DAY = timedelta(days=1)
_QE_SIGNER = hashlib.sha256(b"quoting enclave's signer").digest()
_SGX_PREFIX = bytes.fromhex("2a864886f84d010d01")


def _up_to_date() -> dict[str, Any]:
    return {"tcbDate": "2026-01-01T00:00:00Z", "tcbStatus": "UpToDate"}


def _out_of_date() -> dict[str, Any]:
    return {"tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": "OutOfDate", "advisoryIDs": ["INTEL-SA-09999"]}


@dataclass(frozen=True)
class IntelPlatform:
    """A kind of platform, and one of them: FMSPC, PCE-ID, PPID, the SVNs of 16 SGX components, PCESVN."""

    fmspc: bytes = bytes.fromhex("0a0b0c0d0e0f")
    pce_id: bytes = bytes(2)
    ppid: bytes = b"p" * 16
    components: tuple[int, ...] = (5, 5, 2, 2, 3, 1, 0, 3, *[0] * 8)
    pce_svn: int = 13

    def extension(self) -> bytes:
        """The extension of the PCK certificate, in DER."""
        svns = [_pair(b"\x02" + bytes([i]), _der(2, _number(svn))) for i, svn in enumerate(self.components, 1)]
        svns.append(_pair(b"\x02\x11", _der(2, _number(self.pce_svn))))
        svns.append(_pair(b"\x02\x12", _der(4, bytes(svn & 0xFF for svn in self.components))))
        members = (
            _pair(b"\x01", _der(4, self.ppid)),
            _pair(b"\x02", _der(0x30, b"".join(svns))),
            _pair(b"\x03", _der(4, self.pce_id)),
            _pair(b"\x04", _der(4, self.fmspc)),
            _pair(b"\x05", _der(0x0A, b"\1")),
        )
        return _der(0x30, b"".join(members))


@dataclass(frozen=True)
class Intel:
    """All keys, and the certificates in DER; ``at`` is the time around which everything is valid."""

    at: datetime
    platform: IntelPlatform
    root_key: ec.EllipticCurvePrivateKey
    authority_key: ec.EllipticCurvePrivateKey
    pck_key: ec.EllipticCurvePrivateKey
    signer_key: ec.EllipticCurvePrivateKey
    attestation_key: ec.EllipticCurvePrivateKey
    root: bytes
    authority: bytes
    pck: bytes
    signer: bytes
    authentication_data: bytes = field(default=bytes(range(32)))

    @classmethod
    def create(cls, at: datetime, platform: IntelPlatform | None = None) -> Self:
        """New keys; certificates are valid from a year before ``at`` to ten years after it."""
        platform = platform or IntelPlatform()
        keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(5)]
        root, authority, pck, signer, _ = keys
        return cls(
            at,
            platform,
            *keys,
            root=certify(at, root, ROOT_NAME, ROOT_NAME, root, ca=1),
            authority=certify(at, root, ROOT_NAME, PCK_ISSUERS[0], authority, ca=0),
            pck=certify(at, authority, PCK_ISSUERS[0], PCK_NAME, pck, extension=platform.extension()),
            signer=certify(at, root, ROOT_NAME, SIGNER_NAME, signer),
        )

    def anchor(self) -> Anchor:
        """The anchor to pass to the verifier to have this Intel accepted."""
        return Anchor(INTEL, Certificate.parse(self.root).fingerprint(), f"Simulated {ROOT_NAME}", simulated=True)

    def quote(
        self,
        report: layout.TdReport,
        *,
        qe_report: Mapping[str, bytes] | None = None,
        vendor: bytes = layout.INTEL_QE,
        version: int | None = None,
    ) -> bytes:
        """A quote over ``report``: version 4 for a TD report 1.0 and 5 for 1.5, unless ``version`` is given.

        ``qe_report`` replaces members. Version 4 cannot hold a TD report 1.5.
        """
        old = report.tee_tcb_svn2 is None
        version = version or (4 if old else 5)
        body = encode(report, layout.TD_REPORT_1_0 if old else layout.TD_REPORT_1_5)
        kind = layout.BODY_TD_1_0 if old else layout.BODY_TD_1_5
        signed = _little(version, 2) + _little(layout.KEY_ECDSA_P256, 2) + _little(layout.TEE_TDX, 4)
        signed += bytes(4) + vendor + bytes(20)
        signed += body if version == 4 else _little(kind, 2) + _little(len(body), 4) + body
        key = public_point(self.attestation_key)
        enclave = encode(self.qe_report(key, **(qe_report or {})), layout.ENCLAVE_REPORT, layout.ENCLAVE_REPORT_SIZE)
        inner = enclave + sign(self.pck_key, enclave) + _sized(self.authentication_data, 2)
        chain = b"".join(_pem(der) for der in (self.pck, self.authority, self.root)) + b"\0"
        inner += _little(layout.CERTIFICATION_PCK_CHAIN, 2) + _sized(chain, 4)
        data = sign(self.attestation_key, signed) + key
        data += _little(layout.CERTIFICATION_QE_REPORT, 2) + _sized(inner, 4)
        return signed + _sized(data, 4)

    def qe_report(self, key: bytes, **changes: bytes) -> layout.EnclaveReport:
        """The quoting enclave's report that names the attestation key."""
        members = {
            "cpu_svn": bytes(self.platform.components),
            "misc_select": bytes(4),
            "attributes": bytes.fromhex("1500000000000000e700000000000000"),
            "mr_enclave": b"e" * 32,
            "mr_signer": _QE_SIGNER,
            "isv_prod_id": _little(2, 2),
            "isv_svn": _little(4, 2),
            "report_data": hashlib.sha256(key + self.authentication_data).digest() + bytes(32),
        }
        return layout.EnclaveReport(**(members | changes))

    def tcb_info(self) -> dict[str, Any]:
        """TCB info: up to date with TDX module 1.5, out of date below. The caller may change it."""
        components = [{"svn": svn} for svn in self.platform.components]
        tdx = [{"svn": svn} for svn in (4, 0, 3, *[0] * 13)]
        none = [{"svn": 0}] * 16
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        levels = [{"tcb": {"isvsvn": 5}, **_up_to_date()}, {"tcb": {"isvsvn": 2}, **_out_of_date()}]
        best = {"sgxtcbcomponents": components, "tdxtcbcomponents": tdx, "pcesvn": self.platform.pce_svn}
        least = {"sgxtcbcomponents": none, "tdxtcbcomponents": none, "pcesvn": 5}
        value = {
            **self._dated("TDX", 3),
            "fmspc": self.platform.fmspc.hex(),
            "pceId": self.platform.pce_id.hex(),
            "tcbType": 0,
            "tdxModule": module,
            "tdxModuleIdentities": [{"id": "TDX_01", **module, "tcbLevels": levels}],
            "tcbLevels": [{"tcb": best, **_up_to_date()}, {"tcb": least, **_out_of_date()}],
        }
        return copy.deepcopy(value)

    def qe_identity(self) -> dict[str, Any]:
        """QE identity. The caller may change it."""
        return {
            **self._dated("TD_QE", 2),
            "miscselect": "00000000",
            "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": _QE_SIGNER.hex().upper(),
            "isvprodid": 2,
            "tcbLevels": [{"tcb": {"isvsvn": 4}, **_up_to_date()}, {"tcb": {"isvsvn": 1}, **_out_of_date()}],
        }

    def statement(self, member: str, value: Mapping[str, Any], key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        """The document with ``member`` (tcbInfo or enclaveIdentity), signed by the signer or by another key."""
        body = json.dumps(value, separators=(",", ":"))
        signature = sign(key or self.signer_key, body.encode())
        return f'{{"{member}":{body},"signature":"{signature.hex()}"}}'.encode()

    def crl(
        self, *, of_root: bool = False, revoked: Sequence[int] = (), since: datetime | None = None, name: str = ""
    ) -> bytes:
        """The revocation list (DER) of the platforms' authority or of the root, valid for 30 days from ``since``."""
        since = since or self.at - _DAY
        key, issuer = (self.root_key, ROOT_NAME) if of_root else (self.authority_key, PCK_ISSUERS[0])
        builder = x509.CertificateRevocationListBuilder().issuer_name(_name(name or issuer))
        builder = builder.last_update(since).next_update(since + 30 * _DAY)
        # RFC 5280, section 5.2: every list has these two, and other verifiers reject one without them.
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def collateral(
        self,
        *,
        tcb_info: Mapping[str, Any] | None = None,
        qe_identity: Mapping[str, Any] | None = None,
        crls: tuple[bytes, ...] | None = None,
    ) -> InMemory:
        """Everything that a verifier needs besides the quote; arguments replace documents and lists."""
        return InMemory(
            {
                CERTIFICATE: (self.signer, self.root),
                CRL: (self.crl(), self.crl(of_root=True)) if crls is None else crls,
                TCB_INFO: (self.statement("tcbInfo", tcb_info or self.tcb_info()),),
                QE_IDENTITY: (self.statement("enclaveIdentity", qe_identity or self.qe_identity()),),
            }
        )

    def _dated(self, name: str, version: int) -> dict[str, Any]:
        def text(moment: datetime) -> str:
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

        return {
            "id": name,
            "version": version,
            "issueDate": text(self.at - _DAY),
            "nextUpdate": text(self.at + 29 * _DAY),
            "tcbEvaluationDataNumber": 18,
        }


def certify(
    at: datetime,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer: str,
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    ca: int | None = None,
    extension: bytes | None = None,
    until: datetime | None = None,
) -> bytes:
    """A certificate (DER); ``ca`` is an authority's path length, ``extension`` is Intel's extension."""
    is_ca = ca is not None
    builder = (
        x509.CertificateBuilder()
        .issuer_name(_name(issuer))
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - _YEAR)
        .not_valid_after(until or at + 10 * _YEAR)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=ca), critical=True)
        .add_extension(key_usage(*(AUTHORITY if is_ca else SIGNER)), critical=True)
    )
    if extension is not None:
        sgx = x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION), extension)
        builder = builder.add_extension(sgx, critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def encode(report: object, table: Sequence[tuple[int, int, str]], size: int = 0) -> bytes:
    """The bytes of a report by its layout; fields that the layout omits are zero."""
    size = size or sum(one for _, one, _ in table)
    block = bytearray(size)
    for offset, length, name in table:
        block[offset : offset + length] = getattr(report, name)
    return bytes(block)


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """r and s of an ECDSA signature with SHA-256, 64 bytes."""
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32) + s.to_bytes(32)


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """x and y, 64 bytes."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32) + numbers.y.to_bytes(32)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def _pair(suffix: bytes, value: bytes) -> bytes:
    return _der(0x30, _der(6, _SGX_PREFIX + suffix) + value)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _number(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1)


def _sized(content: bytes, prefix: int) -> bytes:
    return _little(len(content), prefix) + content


def _little(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little")
