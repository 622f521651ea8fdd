"""The report of Azure's paravisor (HCL): a hardware report, and the runtime data that the hardware report binds.

Source: Microsoft, "Guest attestation for confidential VMs: design details", section "TPM NV index 0x01400001", and the
header files of its guest attestation library. All integers are little endian.

    offset  size  field
         0     4  signature, "HCLA"
         4     4  version, 1 or 2
         8     4  size of the report without padding
        12     4  request type, 2
        16    16  status and reserved, zero
        32  1184  hardware report: SNP ATTESTATION_REPORT, or TDREPORT_STRUCT (1024) and zeros
      1216     4  size of the runtime data, this header included
      1220     4  version, 1
      1224     4  type of the hardware report: 2 SEV-SNP, 4 TDX
      1228     4  hash over the runtime claims: 1 SHA-256
      1232     4  size of the runtime claims
      1236     n  runtime claims, JSON
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader
from cloister.protocol import canonical
from cloister.protocol.canonical import FormatError

MAX_SIZE = 16 * 1024
"""Bytes of a whole report, padding included."""

REPORT_SIZE = 1184
"""Bytes of the area of the hardware report."""

TDREPORT_SIZE = 1024
"""Bytes of a TDREPORT_STRUCT."""

TYPE_SNP = 2
TYPE_TDX = 4

USER_DATA_SIZE = 64

_SIGNATURE = b"HCLA"
_VERSIONS = (1, 2)
_REQUEST_TYPE = 2
_CLAIMS_VERSION = 1
_HASH_SHA256 = 1
_CLAIMS_OFFSET = 1236
_CLAIMS_HEADER = 20
_MAX_CLAIMS = 8192
_MAX_KEYS = 8
_MAX_TEXT = 256
_MODULUS_SIZE = 256
_AK = "HCLAkPub"
_EK = "HCLEkPub"
_VM_ID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_SETTING = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_USER_DATA = re.compile(r"([0-9A-Fa-f]{2}){0,64}\Z")


@dataclass(frozen=True)
class RuntimeClaims:
    """What the paravisor says.

    ``ak_modulus`` and ``ek_modulus`` are the vTPM's RSA 2048 keys (256 bytes, exponent 65537), ``user_data`` is what
    the guest wrote to NV 0x01400002 (at most 64 bytes), ``configuration`` has the boolean settings of
    ``vm-configuration``. In a recorded report of 2022, each of the first four may be absent, and is then empty.
    """

    ak_modulus: bytes
    ek_modulus: bytes
    vm_unique_id: str
    configuration: Mapping[str, bool]
    user_data: bytes

    @classmethod
    def parse(cls, data: bytes, *, recorded: bool = False) -> Self:
        """From the JSON text. Unknown members are ignored. Raises MalformedEvidence.

        ``recorded``: the claims may be those of 2022, which had no user data and other keys.
        """
        try:
            value = canonical.parse(data, what="the text", limit=_MAX_CLAIMS)
        except FormatError as error:
            raise _malformed("", error.message) from error
        claims = _member(value, "", dict)
        keys = _keys(_member(claims.get("keys"), ".keys", list))
        configuration = _member(claims.get("vm-configuration"), ".vm-configuration", dict)
        absent = "" if recorded else None
        unique_id = _text(configuration.get("vmUniqueId", absent), ".vm-configuration.vmUniqueId")
        user_data = _text(claims.get("user-data", absent), ".user-data")
        if not _VM_ID.match(unique_id) and unique_id != absent:
            raise _malformed(".vm-configuration.vmUniqueId", "is not a UUID")
        if not _USER_DATA.match(user_data):
            raise _malformed(".user-data", f"is not hex of at most {USER_DATA_SIZE} bytes")
        return cls(
            ak_modulus=b"" if recorded and _AK not in keys else _modulus(keys, _AK),
            ek_modulus=b"" if recorded and _EK not in keys else _modulus(keys, _EK),
            vm_unique_id=unique_id,
            configuration={
                name: setting
                for name, setting in configuration.items()
                if isinstance(setting, bool) and _SETTING.match(name)
            },
            user_data=bytes.fromhex(user_data),
        )


@dataclass(frozen=True)
class HclReport:
    """``report_type`` is the type of ``hardware_report`` (1184 bytes), which binds ``claims_bytes``."""

    version: int
    report_type: int
    hardware_report: bytes
    claims_bytes: bytes
    claims: RuntimeClaims

    @classmethod
    def parse(cls, data: bytes, *, recorded: bool = False) -> Self:
        """From the bytes of a report; ``recorded`` as in :class:`RuntimeClaims`. Raises MalformedEvidence."""
        reader = Reader(data, "HCL report", "little")
        if len(data) > MAX_SIZE:
            raise reader.malformed("size", f"is {len(data)} bytes, at most {MAX_SIZE} are allowed")
        if reader.take(len(_SIGNATURE), "signature") != _SIGNATURE:
            raise reader.malformed("signature", "is not HCLA", 0)
        version = _expect(reader, "version", *_VERSIONS)
        size = reader.unsigned(4, "report_size")
        _expect(reader, "request_type", _REQUEST_TYPE)
        _zero(reader, 16, "status and reserved")
        report = reader.take(REPORT_SIZE, "hardware_report")
        data_size = reader.unsigned(4, "runtime.data_size")
        _expect(reader, "runtime.version", _CLAIMS_VERSION)
        report_type = _expect(reader, "runtime.report_type", TYPE_SNP, TYPE_TDX)
        _expect(reader, "runtime.hash_type", _HASH_SHA256)
        claims = reader.sized(4, _MAX_CLAIMS, "runtime.claims")
        if data_size != _CLAIMS_HEADER + len(claims) or size != _CLAIMS_OFFSET + len(claims):
            raise reader.malformed("runtime.data_size", "the three sizes of the report contradict each other")
        _zero(reader, reader.remaining, "padding")
        if report_type == TYPE_TDX and any(report[TDREPORT_SIZE:]):
            raise reader.malformed("hardware_report", "bytes follow the TDREPORT", 32 + TDREPORT_SIZE)
        return cls(version, report_type, report, claims, RuntimeClaims.parse(claims, recorded=recorded))

    def report_data(self) -> bytes:
        """The 64 bytes that the hardware report must carry: SHA-256 of the runtime claims, and zeros."""
        return hashlib.sha256(self.claims_bytes).digest() + bytes(USER_DATA_SIZE - 32)


def _keys(values: list[Any]) -> dict[str, dict[str, Any]]:
    """The JSON Web Keys (RFC 7517) by ``kid``."""
    if len(values) > _MAX_KEYS:
        raise _malformed(".keys", f"has {len(values)} keys, at most {_MAX_KEYS} are allowed")
    keys: dict[str, dict[str, Any]] = {}
    for value in values:
        key = _member(value, ".keys", dict)
        name = _text(key.get("kid"), ".keys.kid")
        if name in keys:
            raise _malformed(".keys", f"has the key {name!r} twice")
        keys[name] = key
    return keys


def _modulus(keys: Mapping[str, dict[str, Any]], name: str) -> bytes:
    key = _member(keys.get(name), f".keys.{name}", dict)
    if key.get("kty") != "RSA" or key.get("e") != "AQAB":
        raise _malformed(f".keys.{name}", "is not an RSA key with the exponent 65537")
    try:
        modulus = canonical.from_base64(_text(key.get("n"), f".keys.{name}.n", 512), what="the modulus")
    except FormatError as error:
        raise _malformed(f".keys.{name}.n", error.message) from error
    if len(modulus) != _MODULUS_SIZE or not modulus[0] >> 7 or not modulus[-1] & 1:
        raise _malformed(f".keys.{name}.n", "is not an odd number of 2048 bits")
    return modulus


def _member(value: Any, name: str, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _malformed(name, f"is absent or not an {'object' if kind is dict else 'array'}")
    return value


def _text(value: Any, name: str, most: int = _MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise _malformed(name, f"is absent or not a string of at most {most} characters")
    return value


def _malformed(name: str, reason: str) -> MalformedEvidence:
    return MalformedEvidence(f"HCL report.runtime.claims{name}", _CLAIMS_OFFSET, reason)


def _expect(reader: Reader, field: str, *wanted: int) -> int:
    start = reader.offset
    found = reader.unsigned(4, field)
    if found not in wanted:
        raise reader.malformed(field, f"is {found}, must be {' or '.join(map(str, wanted))}", start)
    return found


def _zero(reader: Reader, size: int, field: str) -> None:
    start = reader.offset
    if any(reader.take(size, field)):
        raise reader.malformed(field, "is not zero", start)
