"""The attestation report of SEV-SNP, versions 2 to 5.

Source: "SEV Secure Nested Paging Firmware ABI Specification", AMD publication 56860, revision 1.58: section 7.3,
table 23 (ATTESTATION_REPORT), with PLATFORM_INFO and the format of signatures by ECDSA P-384 with SHA-384; section 4.3
(guest policy). All integers are little endian. A new version adds fields in reserved places; it moves none.

Long because one structure, with the names of its bits, stands in one place.
"""

import functools
import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self, TypeVar

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.products import CHIP_ID_SIZES, ProductLine, TcbVersion, line_of

SIZE = 0x4A0
"""Bytes of a report of any version."""

SIGNED_SIZE = 0x2A0
"""The signature covers the bytes before it."""

VERSIONS = (2, 3, 4, 5)
"""Version 1 was never shipped by firmware in production."""

REPORT_DATA_SIZE = 64
MEASUREMENT_SIZE = 48

ECDSA_P384_SHA384 = 1
"""SIGNATURE_ALGO: the only algorithm."""

FIELDS = (
    ("version", 0x000, 4),
    ("guest_svn", 0x004, 4),
    ("policy", 0x008, 8),
    ("*family_id", 0x010, 16),
    ("*image_id", 0x020, 16),
    ("vmpl", 0x030, 4),
    ("signature_algorithm", 0x034, 4),
    ("*current_tcb", 0x038, 8),
    ("platform_info", 0x040, 8),
    ("key_info", 0x048, 4),
    ("*report_data", 0x050, 64),
    ("*measurement", 0x090, 48),
    ("*host_data", 0x0C0, 32),
    ("*id_key_digest", 0x0E0, 48),
    ("*author_key_digest", 0x110, 48),
    ("*report_id", 0x140, 32),
    ("*report_id_ma", 0x160, 32),
    ("*reported_tcb", 0x180, 8),
    ("family", 0x188, 1),  # from version 3 on
    ("model", 0x189, 1),
    ("stepping", 0x18A, 1),
    ("*chip_id", 0x1A0, 64),
    ("*committed_tcb", 0x1E0, 8),
    ("current_build", 0x1E8, 1),
    ("current_minor", 0x1E9, 1),
    ("current_major", 0x1EA, 1),
    ("committed_build", 0x1EC, 1),
    ("committed_minor", 0x1ED, 1),
    ("committed_major", 0x1EE, 1),
    ("*launch_tcb", 0x1F0, 8),
    ("launch_mitigations", 0x1F8, 8),  # from version 5 on
    ("current_mitigations", 0x200, 8),
    ("signature_r", 0x2A0, 72),
    ("signature_s", 0x2E8, 72),
)
"""Table 23: name, offset and size; an asterisk marks byte strings, all others are integers."""


def _layout() -> tuple[struct.Struct, tuple[str, ...]]:
    """All fields at once, and their names. Integers too long for a format are read as bytes."""
    names, text, end = tuple(name.lstrip("*") for name, _, _ in FIELDS), "<", 0
    for name, offset, size in FIELDS:
        form = None if name[0] == "*" else {1: "B", 4: "I", 8: "Q"}.get(size)
        text += f"{offset - end}x{form or f'{size}s'}"
        end = offset + size
    return struct.Struct(text), names


_Bit = TypeVar("_Bit", bound=IntEnum)
_STRUCT, _NAMES = _layout()
_SIGNATURE = ("signature_r", "signature_s")

# Must be zero: the versions that reserve it, offset, size.
_RESERVED = (
    (VERSIONS, 0x04C, 4),
    ((2,), 0x188, 3),
    (VERSIONS, 0x18B, 21),
    (VERSIONS, 0x1EB, 1),
    (VERSIONS, 0x1EF, 1),
    ((2, 3, 4), 0x1F8, 16),
    (VERSIONS, 0x208, 152),
    (VERSIONS, 0x330, 368),
)

_POLICY_MUST_BE_ONE = 1 << 17
_POLICY_RESERVED = ~((1 << 26) - 1)
_KEY_INFO_RESERVED = ~0x1F


class PolicyBit(IntEnum):
    """Bits of POLICY, the guest policy that the firmware enforces (section 4.3). Bits 0 to 15 are an ABI version."""

    SMT = 16
    MIGRATE_MA = 18
    DEBUG = 19
    SINGLE_SOCKET = 20
    CXL_ALLOW = 21
    MEM_AES_256_XTS = 22
    RAPL_DIS = 23
    CIPHERTEXT_HIDING_DRAM = 24
    PAGE_SWAP_DISABLE = 25


class PlatformBit(IntEnum):
    """Bits of PLATFORM_INFO. Bit 6 is newer than revision 1.58; processors of the line Turin set it."""

    SMT_EN = 0
    TSME_EN = 1
    ECC_EN = 2
    RAPL_DIS = 3
    CIPHERTEXT_HIDING_DRAM_EN = 4
    ALIAS_CHECK_COMPLETE = 5
    IOMMU_WRITE_SAFE = 6
    TIO_EN = 7


class SigningKey(IntEnum):
    """SIGNING_KEY: which kind of key signed the report (table 23); 2 to 6 are reserved."""

    VCEK = 0
    VLEK = 1
    NONE = 7


@dataclass(frozen=True, kw_only=True)
class SnpReport:
    """Every field of a report, by the names of table 23; ``data`` are all 1184 bytes.

    TCB versions are raw, because their layout depends on the chip: ``tcb_versions`` parses them. Digests are SHA-384
    (48 bytes). ``family``, ``model`` and ``stepping`` are zero in version 2, the mitigation vectors before version 5.
    """

    data: bytes
    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    current_tcb: bytes
    platform_info: int
    key_info: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    family: int
    model: int
    stepping: int
    chip_id: bytes
    committed_tcb: bytes
    current_build: int
    current_minor: int
    current_major: int
    committed_build: int
    committed_minor: int
    committed_major: int
    launch_tcb: bytes
    launch_mitigations: int
    current_mitigations: int
    signature_r: int
    signature_s: int

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From exactly 1184 bytes. Raises MalformedEvidence, also for reserved bytes that are not zero."""
        if len(data) != SIZE:
            raise _malformed("size", 0, f"has {len(data)} bytes, must have {SIZE}")
        values: dict[str, Any] = dict(zip(_NAMES, _STRUCT.unpack_from(data), strict=True))
        for name in _SIGNATURE:
            values[name] = int.from_bytes(values[name], "little")
        report = object.__new__(cls)  # as __init__ would, which sets each of the forty members of a frozen class alone
        report.__dict__.update(values, data=bytes(data))
        if report.version not in VERSIONS:
            raise _malformed("version", 0, f"is {report.version}, only 2 to 5 are known")
        for offset, end in _RESERVED_IN[report.version]:
            if data[offset:end].strip(b"\0"):
                raise _malformed("reserved", offset, f"is not zero in a report of version {report.version}")
        if report.policy & _POLICY_RESERVED or not report.policy & _POLICY_MUST_BE_ONE:
            raise _malformed("policy", 0x008, f"is {report.policy:#x}: bit 17 must be set, bits 26 to 63 clear")
        if report.key_info & _KEY_INFO_RESERVED:
            raise _malformed("key_info", 0x048, f"is {report.key_info:#x}: bits 5 to 31 must be clear")
        if report.key_info >> 2 & 7 not in _SIGNING_KEYS:
            raise _malformed("key_info", 0x048, f"names signing key {report.key_info >> 2 & 7}, which is reserved")
        if report.signature_algorithm != ECDSA_P384_SHA384:
            raise _malformed("signature_algorithm", 0x034, f"is {report.signature_algorithm}, only 1 is known")
        line = report.product_line
        if line is not None:
            report.tcb_versions(line)
            if any(report.chip_id[CHIP_ID_SIZES[line] :]):
                raise _malformed("chip_id", 0x1A0, f"is longer than {CHIP_ID_SIZES[line]} bytes, which {line} has")
        return report

    @property
    def product_line(self) -> ProductLine | None:
        """The chip's line from its CPUID; None if the report has none (version 2) or it is unknown."""
        return line_of(self.family, self.model) if self.version > 2 else None

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        return self.data[:SIGNED_SIZE]

    @property
    def signing_key(self) -> SigningKey:
        """The kind of key that signed."""
        return SigningKey(self.key_info >> 2 & 7)

    @property
    def chip_key_masked(self) -> bool:
        """MASK_CHIP_KEY: the host requested reports without a signature by the chip's key."""
        return bool(self.key_info & 2)

    @property
    def has_author_key(self) -> bool:
        """AUTHOR_KEY_EN: ``author_key_digest`` is of a key that signed the guest's identity key."""
        return bool(self.key_info & 1)

    @property
    def abi(self) -> tuple[int, int]:
        """The minimum ABI version of the firmware in the guest policy: major, minor."""
        return self.policy >> 8 & 0xFF, self.policy & 0xFF

    @property
    def current_firmware(self) -> tuple[int, int, int]:
        """The version of the running firmware: major, minor, build."""
        return self.current_major, self.current_minor, self.current_build

    @property
    def committed_firmware(self) -> tuple[int, int, int]:
        """The oldest version that the firmware can be rolled back to: major, minor, build."""
        return self.committed_major, self.committed_minor, self.committed_build

    def policy_bits(self) -> frozenset[PolicyBit]:
        """The bits that are set in the guest policy."""
        return _bits(PolicyBit, self.policy)

    def platform_bits(self) -> frozenset[PlatformBit]:
        """The known bits that are set in PLATFORM_INFO."""
        return _bits(PlatformBit, self.platform_info)

    def unknown_platform_bits(self) -> int:
        """The set bits of PLATFORM_INFO that have no meaning in this version of the specification."""
        return self.platform_info & ~_KNOWN_PLATFORM_BITS

    def tcb_versions(self, line: ProductLine) -> dict[str, TcbVersion]:
        """``reported``, ``committed``, ``launch`` and ``current`` in the layout of ``line``.

        Raises MalformedEvidence when a reserved byte is not zero.
        """
        raw = {
            "reported": self.reported_tcb,
            "committed": self.committed_tcb,
            "launch": self.launch_tcb,
            "current": self.current_tcb,
        }
        return {name: TcbVersion.parse(data, line, f"ATTESTATION_REPORT.{name}_tcb") for name, data in raw.items()}

    def chip(self, line: ProductLine) -> bytes:
        """The identifier of the chip: 64 bytes, 8 on Turin; zeros when the host masks it."""
        return self.chip_id[: CHIP_ID_SIZES[line]]

    def digest(self) -> bytes:
        """SHA-384 of the signed bytes, 48 bytes: what the signature is made over."""
        return hashlib.sha384(self.signed).digest()


_SIGNING_KEYS = frozenset(int(key) for key in SigningKey)
_KNOWN_PLATFORM_BITS = sum(1 << bit for bit in PlatformBit)
_RESERVED_IN = {
    version: tuple((offset, offset + size) for versions, offset, size in _RESERVED if version in versions)
    for version in VERSIONS
}


@functools.lru_cache(maxsize=256)
def _bits(kind: type[_Bit], value: int) -> frozenset[_Bit]:
    return frozenset(bit for bit in kind if value >> bit & 1)


def _malformed(field: str, offset: int, reason: str) -> MalformedEvidence:
    return MalformedEvidence(f"ATTESTATION_REPORT.{field}", offset, reason)
