"""Evidence: what an agent shows about its machine, as a protobuf message on the wire and as a JSON file.

Both forms carry the same parts and are parsed into the same frozen value. Parsing is strict: the encoding must be the
canonical one (fields in order, nothing unknown, nothing empty), so evidence has one spelling.

Long because both encodings list every part: side by side, a missing part is easy to see.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, TypeVar

from google.protobuf.message import DecodeError

from cloister.attestation.binding import (
    DIGEST_SIZE,
    Binding,
    SessionBinding,
    binding_from_value,
    binding_value,
    read_binding,
    require_size,
    write_binding,
)
from cloister.attestation.collateral_source import COLLATERAL_KINDS, CollateralItem
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.tpm import eventlog, structures
from cloister.attestation.tpm.runtimelog import Measurement, MeasurementKind
from cloister.attestation.x509.certificate import MAX_CERTIFICATE_SIZE
from cloister.protocol import bootconfig, canonical, schema, transcript
from cloister.v1 import evidence_pb2

MAX_SIZE = 1024 * 1024
"""Bytes of encoded evidence, as a message."""

MAX_JSON = 2 * MAX_SIZE
"""Bytes of the JSON file form."""

_MAX_CERTIFICATES = 8
_MAX_COLLATERAL = 64
_MAX_RUNTIME_LOG = 8
_MAX_TPM_STRUCTURE = 2048
_MAX_KEY = 1024

_Name = TypeVar("_Name", bound=StrEnum)


class Platform(StrEnum):
    """Where a confidential VM runs, which decides what its evidence consists of."""

    LOCAL = "local"
    SEV_SNP = "sev-snp"
    TDX = "tdx"
    AZURE_SNP = "azure-snp"
    AZURE_TDX = "azure-tdx"
    GCP_SNP = "gcp-snp"
    GCP_TDX = "gcp-tdx"


PARTS: Mapping[str, int] = {
    "snp_report": 4096,
    "snp_certificates": 64 * 1024,
    "tdx_quote": 64 * 1024,
    "ccel": eventlog.MAX_SIZE,
    "hcl_report": 16 * 1024,
    "launch_endorsement": 64 * 1024,
}
"""Parts that only some platforms have, with their limits in bytes: names of the message's fields."""


@dataclass(frozen=True)
class TpmQuote:
    """A vTPM's quote as the TPM made it, and the values of PCR 0 to 15 that it covers (SHA-256 bank)."""

    attest: bytes
    signature: bytes
    ak_public: bytes
    pcrs: tuple[bytes, ...]


@dataclass(frozen=True)
class Evidence:
    """All parts of the evidence of one CVM. Bytes are as the machine showed them; nothing in them is checked here.

    platform: how the machine attests, which decides what other parts there are.
    binding: the session or receipt that the evidence was made for.
    event_log_key: SubjectPublicKeyInfo (DER) of the agent's event-log key.
    boot_configuration: the measured bytes of the boot configuration.
    runtime_log: what the agent measured after boot, in its order.
    tpm_quote: a vTPM's quote; None on a platform whose vTPM does not count, or that has none.
    ak_certificates: DER certificates of the vTPM's attestation key, leaf first; empty without such a key.
    boot_event_log: the TCG event log that firmware kept for the vTPM; None without one.
    snp_report: SEV-SNP attestation report; None on other hardware, and at Azure, where ``hcl_report`` has it.
    snp_certificates: the certificate table of the host (GHCB); None when the host gave none.
    tdx_quote: TDX quote; None on other hardware.
    ccel: the boot event log of a TD; None without one.
    hcl_report: the report of Azure's paravisor; None elsewhere.
    launch_endorsement: Google's endorsement of its firmware; None elsewhere, and when the guest has none.
    collateral: what else the host gave the guest; may be empty.
    """

    platform: Platform
    binding: Binding
    event_log_key: bytes
    boot_configuration: bytes
    runtime_log: tuple[Measurement, ...]
    tpm_quote: TpmQuote | None = None
    ak_certificates: tuple[bytes, ...] = ()
    boot_event_log: bytes | None = None
    snp_report: bytes | None = None
    snp_certificates: bytes | None = None
    tdx_quote: bytes | None = None
    ccel: bytes | None = None
    hcl_report: bytes | None = None
    launch_endorsement: bytes | None = None
    collateral: tuple[CollateralItem, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the encoded protobuf message. Raises MalformedEvidence."""
        if len(data) > MAX_SIZE:
            raise MalformedEvidence("Evidence", 0, f"has {len(data)} bytes, at most {MAX_SIZE} are allowed")
        try:
            message = evidence_pb2.Evidence.FromString(data)
        except DecodeError as error:
            raise MalformedEvidence("Evidence", 0, "is not a protobuf message") from error
        if message.version != 1:
            raise MalformedEvidence("Evidence.version", 0, f"is {message.version}, must be 1")
        evidence = cls._from_message(message)
        if evidence.encode() != data:
            # Unknown fields, empty fields, repeated or disordered ones: none of them has a meaning here.
            raise MalformedEvidence("Evidence", 0, "is not in its canonical encoding, or has unknown fields")
        return evidence

    @classmethod
    def _from_message(cls, message: evidence_pb2.Evidence) -> Self:
        quote = message.tpm_quote
        return cls._checked(
            platform=_member(Platform, message.platform, "platform"),
            binding=read_binding(message),
            event_log_key=message.event_log_key,
            boot_configuration=message.boot_configuration,
            runtime_log=tuple(
                Measurement(_member(MeasurementKind, entry.kind, "runtime_log.kind"), entry.digest)
                for entry in message.runtime_log
            ),
            tpm_quote=TpmQuote(quote.attest, quote.signature, quote.ak_public, tuple(quote.pcrs))
            if message.HasField("tpm_quote")
            else None,
            ak_certificates=tuple(message.ak_certificates),
            boot_event_log=message.boot_event_log or None,
            collateral=tuple(CollateralItem(item.kind, item.content) for item in message.collateral),
            **{name: getattr(message, name) or None for name in PARTS},
        )

    @classmethod
    def _checked(cls, **parts: Any) -> Self:
        """The value, if every part keeps its limits."""
        evidence = cls(**parts)
        require_size("event_log_key", evidence.event_log_key, 1, _MAX_KEY)
        require_size("boot_configuration", evidence.boot_configuration, 1, bootconfig.MAX_SIZE)
        _count("runtime_log", evidence.runtime_log, _MAX_RUNTIME_LOG)
        for entry in evidence.runtime_log:
            require_size("runtime_log.digest", entry.digest, DIGEST_SIZE, DIGEST_SIZE)
        if evidence.tpm_quote is not None:
            for name in ("attest", "signature", "ak_public"):
                require_size(f"tpm_quote.{name}", getattr(evidence.tpm_quote, name), 1, _MAX_TPM_STRUCTURE)
            if len(evidence.tpm_quote.pcrs) != len(structures.QUOTED_PCRS):
                found = len(evidence.tpm_quote.pcrs)
                raise MalformedEvidence("Evidence.tpm_quote.pcrs", 0, f"has {found} values, must have 16")
            for value in evidence.tpm_quote.pcrs:
                require_size("tpm_quote.pcrs", value, DIGEST_SIZE, DIGEST_SIZE)
        _count("ak_certificates", evidence.ak_certificates, _MAX_CERTIFICATES)
        for certificate in evidence.ak_certificates:
            require_size("ak_certificates", certificate, 1, MAX_CERTIFICATE_SIZE)
        require_size("boot_event_log", evidence.boot_event_log, 1, eventlog.MAX_SIZE)
        for name, limit in PARTS.items():
            require_size(name, getattr(evidence, name), 1, limit)
        _count("collateral", evidence.collateral, _MAX_COLLATERAL)
        for item in evidence.collateral:
            if item.kind not in COLLATERAL_KINDS:
                raise MalformedEvidence("Evidence.collateral.kind", 0, f"is {item.kind[:40]!r}, which is unknown")
            require_size("collateral.content", item.content, 1, MAX_SIZE)
        return evidence

    def encode(self) -> bytes:
        """The protobuf message, deterministic."""
        message = evidence_pb2.Evidence(
            version=1,
            platform=self.platform.value,
            event_log_key=self.event_log_key,
            boot_configuration=self.boot_configuration,
            runtime_log=[evidence_pb2.Measured(kind=e.kind.value, digest=e.digest) for e in self.runtime_log],
            ak_certificates=self.ak_certificates,
            collateral=[evidence_pb2.CollateralItem(kind=i.kind, content=i.content) for i in self.collateral],
        )
        write_binding(self.binding, message)
        if self.tpm_quote is not None:
            message.tpm_quote.attest = self.tpm_quote.attest
            message.tpm_quote.signature = self.tpm_quote.signature
            message.tpm_quote.ak_public = self.tpm_quote.ak_public
            message.tpm_quote.pcrs.extend(self.tpm_quote.pcrs)
        for name in ("boot_event_log", *PARTS):
            value = getattr(self, name)
            if value is not None:
                setattr(message, name, value)
        return message.SerializeToString(deterministic=True)

    @classmethod
    def parse_json(cls, data: bytes) -> Self:
        """From the JSON file form. Raises FormatError or MalformedEvidence."""
        what = "The evidence file"
        value = canonical.parse(data, what=what, limit=MAX_JSON)
        schema.validate("evidence", value, what=what)
        quote = value.get("tpm_quote")
        evidence = cls._checked(
            platform=_member(Platform, value["platform"], "platform"),
            binding=binding_from_value(value["binding"]),
            event_log_key=_base64(value["event_log_key"]),
            boot_configuration=_base64(value["boot_configuration"]),
            runtime_log=tuple(
                Measurement(_member(MeasurementKind, e["kind"], "runtime_log.kind"), _hex(e["digest"]))
                for e in value["runtime_log"]
            ),
            tpm_quote=TpmQuote(
                _base64(quote["attest"]),
                _base64(quote["signature"]),
                _base64(quote["ak_public"]),
                tuple(_hex(digest) for digest in quote["pcrs"]),
            )
            if quote
            else None,
            ak_certificates=tuple(_base64(text) for text in value.get("ak_certificates", ())),
            collateral=tuple(CollateralItem(i["kind"], _base64(i["content"])) for i in value.get("collateral", ())),
            **{name: _base64(value[name]) for name in ("boot_event_log", *PARTS) if name in value},
        )
        if len(evidence.encode()) > MAX_SIZE:
            raise MalformedEvidence("Evidence", 0, f"is larger than {MAX_SIZE} bytes")
        return evidence

    def encode_json(self) -> bytes:
        """The JSON file form, canonical; what is absent is left out."""
        value: dict[str, Any] = {
            "version": 1,
            "platform": self.platform.value,
            "binding": binding_value(self.binding),
            "event_log_key": canonical.to_base64(self.event_log_key),
            "boot_configuration": canonical.to_base64(self.boot_configuration),
            "runtime_log": [{"kind": e.kind.value, "digest": e.digest.hex()} for e in self.runtime_log],
        }
        if self.tpm_quote is not None:
            value["tpm_quote"] = {
                "attest": canonical.to_base64(self.tpm_quote.attest),
                "signature": canonical.to_base64(self.tpm_quote.signature),
                "ak_public": canonical.to_base64(self.tpm_quote.ak_public),
                "pcrs": [digest.hex() for digest in self.tpm_quote.pcrs],
            }
        if self.ak_certificates:
            value["ak_certificates"] = [canonical.to_base64(der) for der in self.ak_certificates]
        if self.collateral:
            value["collateral"] = [
                {"kind": item.kind, "content": canonical.to_base64(item.content)} for item in self.collateral
            ]
        for name in ("boot_event_log", *PARTS):
            part = getattr(self, name)
            if part is not None:
                value[name] = canonical.to_base64(part)
        return canonical.encode(value)

    def boot_configuration_digest(self) -> bytes:
        """SHA-256 of the boot configuration's bytes."""
        return hashlib.sha256(self.boot_configuration).digest()

    def report_data(self) -> bytes:
        """The 64 bytes that the evidence must be made over, recomputed from the parts that it carries."""
        if isinstance(self.binding, SessionBinding):
            return transcript.session_report_data(
                nonce=self.binding.nonce,
                tls_key_digest=self.binding.tls_key_digest,
                hpke_key_digest=self.binding.hpke_key_digest,
                event_log_key=self.event_log_key,
                manifest_digest=self.binding.manifest_digest or transcript.NO_MANIFEST,
                boot_configuration_digest=self.boot_configuration_digest(),
            )
        return transcript.receipt_report_data(
            payload_digest=self.binding.payload_digest,
            event_log_key=self.event_log_key,
            manifest_digest=self.binding.manifest_digest,
            boot_configuration_digest=self.boot_configuration_digest(),
            log_head=self.binding.log_head,
        )


def _member(kind: type[_Name], text: str, name: str) -> _Name:
    try:
        return kind(text)
    except ValueError as error:
        raise MalformedEvidence(f"Evidence.{name}", 0, f"is {text[:40]!r}, which is unknown") from error


def _count(name: str, values: Iterable[object], most: int) -> None:
    found = len(tuple(values))
    if found > most:
        raise MalformedEvidence(f"Evidence.{name}", 0, f"has {found} entries, at most {most} are allowed")


def _base64(text: str) -> bytes:
    return canonical.from_base64(text, what="A part of the evidence file")


def _hex(text: str) -> bytes:
    return canonical.from_hex(text, what="A digest of the evidence file")
