"""AMD's product lines: how a report names the chip, and the layout of its TCB versions.

Sources: "SEV Secure Nested Paging Firmware ABI Specification", publication 56860, revision 1.58 (ABI), section 2.2;
"Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification", publication 57230 (KDS), chapter 3.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from cloister.attestation.errors import MalformedEvidence

TCB_SIZE = 8
"""Bytes of a TCB_VERSION."""


class ProductLine(StrEnum):
    """The lines with SEV-SNP, by the name that AMD's key service uses; each has its own root key."""

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"


# Family and model as CPUID Fn0000_0001 gives them, extended parts added. 19h/A0h to AFh are Zen 4c (Bergamo, Siena),
# which have Genoa's keys; 1Ah/10h and 11h are Zen 5c, which have Turin's.
_MODELS = (
    (0x19, range(0x10), ProductLine.MILAN),
    (0x19, range(0x10, 0x20), ProductLine.GENOA),
    (0x19, range(0xA0, 0xB0), ProductLine.GENOA),
    (0x1A, range(0x12), ProductLine.TURIN),
)

# ABI, section 2.2 (TCB version; families 19h and 1Ah differ): the component in each byte, None where it is reserved.
_FAMILY_19H = ("boot_loader", "tee", None, None, None, None, "snp", "microcode")
_FAMILY_1AH = ("fmc", "boot_loader", "tee", "snp", None, None, None, "microcode")

COMPONENTS: Mapping[ProductLine, tuple[str | None, ...]] = {
    ProductLine.MILAN: _FAMILY_19H,
    ProductLine.GENOA: _FAMILY_19H,
    ProductLine.TURIN: _FAMILY_1AH,
}
"""The meaning of each byte of a TCB version: the layout depends on the chip, not on the version of the report."""

_RESERVED = {
    line: tuple(offset for offset, name in enumerate(names) if name is None) for line, names in COMPONENTS.items()
}

CHIP_ID_SIZES: Mapping[ProductLine, int] = {
    ProductLine.MILAN: 64,
    ProductLine.GENOA: 64,
    ProductLine.TURIN: 8,
}
"""Bytes of CHIP_ID that identify a chip; the rest of the report's 64 are zero (ABI, table 23; KDS, chapter 3)."""


@functools.lru_cache(maxsize=256)
def line_of(family: int, model: int) -> ProductLine | None:
    """The product line of a CPUID family and model; None if unknown."""
    return next((line for known, models, line in _MODELS if family == known and model in models), None)


@dataclass(frozen=True)
class TcbVersion:
    """Security patch levels of the firmware's components, 0 to 255 each. ``fmc`` is None before Turin."""

    boot_loader: int
    tee: int
    snp: int
    microcode: int
    fmc: int | None = None

    @staticmethod
    def parse(data: bytes, line: ProductLine, field: str) -> "TcbVersion":
        """From the 8 bytes of a TCB_VERSION of ``line``. Raises MalformedEvidence when a reserved byte is not zero."""
        if len(data) != TCB_SIZE:
            raise MalformedEvidence(field, 0, f"has {len(data)} bytes, must have {TCB_SIZE}")
        for offset in _RESERVED[line]:
            if data[offset]:
                raise MalformedEvidence(field, offset, f"is {data[offset]:#04x} where {line} has a reserved byte")
        return _version(bytes(data), line)

    def encode(self, line: ProductLine) -> bytes:
        """The 8 bytes of a TCB_VERSION of ``line``."""
        values = self._levels
        return bytes(values.get(name, 0) if name else 0 for name in COMPONENTS[line])

    def components(self) -> dict[str, int]:
        """The levels by name, without components that the chip does not have."""
        return dict(self._levels)

    def below(self, minimum: Self) -> tuple[str, ...]:
        """The components that are below ``minimum``; one that only ``minimum`` has counts as below."""
        mine = self._levels
        return tuple(name for name, least in minimum._levels.items() if mine.get(name, -1) < least)

    def __str__(self) -> str:
        return self._text

    @functools.cached_property
    def _levels(self) -> dict[str, int]:
        levels = {
            "boot_loader": self.boot_loader,
            "tee": self.tee,
            "snp": self.snp,
            "microcode": self.microcode,
        }
        return levels if self.fmc is None else {**levels, "fmc": self.fmc}

    @functools.cached_property
    def _text(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self._levels.items())


@functools.lru_cache(maxsize=256)
def _version(data: bytes, line: ProductLine) -> TcbVersion:
    """Reserved bytes do not count. The same few versions occur in every report of a fleet."""
    return TcbVersion(**{name: value for name, value in zip(COMPONENTS[line], data, strict=True) if name})
