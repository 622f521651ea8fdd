"""AMD's extensions in the certificate of a VCEK or VLEK: product, TCB version, and chip or cloud.

Source: "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification", AMD publication 57230,
chapter 3: the extensions of VCEK and of VLEK certificates.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.snp.products import ProductLine, TcbVersion
from cloister.attestation.snp.report import SigningKey
from cloister.attestation.x509 import der
from cloister.attestation.x509.der import DerReader

AMD = "1.3.6.1.4.1.3704.1."
STRUCT_VERSION = f"{AMD}1"
PRODUCT_NAME = f"{AMD}2"
HWID = f"{AMD}4"
CSP_ID = f"{AMD}5"

LEVELS: Mapping[int, Mapping[str, str]] = {
    0: {"boot_loader": f"{AMD}3.1", "tee": f"{AMD}3.2", "snp": f"{AMD}3.3", "microcode": f"{AMD}3.8"},
    1: {
        "fmc": f"{AMD}3.9",
        "boot_loader": f"{AMD}3.1",
        "tee": f"{AMD}3.2",
        "snp": f"{AMD}3.3",
        "microcode": f"{AMD}3.8",
    },
}
"""The extension of each TCB component by structure version: 0 up to Genoa, 1 from Turin."""

RESERVED: Mapping[int, tuple[str, ...]] = {
    0: tuple(f"{AMD}3.{index}" for index in (4, 5, 6, 7)),
    1: tuple(f"{AMD}3.{index}" for index in (5, 6, 7)),
}
"""The extensions of the reserved components, which are present and zero."""

# Certificates that Genoa's ASK signs under another name: 57230, chapter 2, says so of Siena. The key service has
# Bergamo's under Genoa, and no source says that one is named Bergamo, so such a name is unknown.
_LINES = {**{line.value: line for line in ProductLine}, "Siena": ProductLine.GENOA}
_STRUCT_VERSIONS = {ProductLine.MILAN: 0, ProductLine.GENOA: 0, ProductLine.TURIN: 1}
_HWID_SIZES = {0: 64, 1: 8}
# Key identifiers and the location of a revocation list: not checked.
_IGNORED = frozenset(("2.5.29.14", "2.5.29.35", "2.5.29.31"))


@dataclass(frozen=True)
class AmdExtensions:
    """``hwid`` identifies the chip (None for a VLEK), ``csp_id`` the cloud of the key (None for a VCEK)."""

    struct_version: int
    product_name: str
    tcb: TcbVersion
    hwid: bytes | None
    csp_id: str | None

    @classmethod
    def parse(cls, found: Mapping[str, bytes], kind: SigningKey, field: str) -> Self:
        """From the contents of all extensions by OID: all required ones, and no unknown ones.

        ``field`` names the certificate in errors. Raises MalformedEvidence.
        """
        version = _number(found, STRUCT_VERSION, field)
        if version not in LEVELS:
            raise MalformedEvidence(f"{field}.{STRUCT_VERSION}", 0, f"is {version}, only 0 and 1 are known")
        tcb = TcbVersion(**{name: _number(found, oid, field) for name, oid in LEVELS[version].items()})
        for oid in RESERVED[version]:
            if _number(found, oid, field):
                raise MalformedEvidence(f"{field}.{oid}", 0, "is not zero, although it is reserved")
        product_name = _text(found, PRODUCT_NAME, field)
        hwid, csp_id, own = None, None, HWID
        if kind is SigningKey.VCEK:
            hwid = _hwid(_content(found, HWID, field), _HWID_SIZES[version], field)
        else:
            own = CSP_ID
            csp_id = _text(found, CSP_ID, field)
        known = {STRUCT_VERSION, PRODUCT_NAME, own, *LEVELS[version].values(), *RESERVED[version]}
        unknown = sorted(set(found) - known - _IGNORED)
        if unknown:
            raise MalformedEvidence(f"{field}.extensions", 0, f"have {unknown[0]}, which is unknown")
        return cls(version, product_name, tcb, hwid, csp_id)

    @functools.cached_property
    def product_line(self) -> ProductLine | None:
        """The line in the product name, which may end with the stepping (Milan-B0); None if unknown."""
        name = self.product_name.split("-", 1)[0]
        line = _LINES.get(name)
        return line if line is None or _STRUCT_VERSIONS[line] == self.struct_version else None


def _content(found: Mapping[str, bytes], oid: str, field: str) -> bytes:
    if oid not in found:
        raise MalformedEvidence(f"{field}.{oid}", 0, "is absent")
    return found[oid]


def _hwid(content: bytes, size: int, field: str) -> bytes:
    """The service writes the bare bytes; for a while it wrote the OCTET STRING that its document specifies."""
    if len(content) != size:
        reader = DerReader(content, f"{field}.{HWID}")
        content = reader.element(der.OCTET_STRING, "value")
        reader.end()
    if len(content) != size:
        raise MalformedEvidence(f"{field}.{HWID}", 0, f"has {len(content)} bytes, must have {size}")
    return content


def _number(found: Mapping[str, bytes], oid: str, field: str) -> int:
    reader = DerReader(_content(found, oid, field), f"{field}.{oid}")
    value = reader.unsigned("value")
    reader.end()
    if value > 0xFF:
        raise reader.malformed("value", f"is {value}, at most 255 is allowed")
    return value


def _text(found: Mapping[str, bytes], oid: str, field: str) -> str:
    reader = DerReader(_content(found, oid, field), f"{field}.{oid}")
    value = reader.text(der.IA5_STRING, "value")
    reader.end()
    return value
