"""The table in which a host passes certificates to its guest.

Source: "SEV-ES Guest-Hypervisor Communication Block Standardization", AMD publication 56421, revision 2.03,
section 4.1.8.1: entries of GUID, offset and length, ended by one of zeros; the contents follow. The bytes of a GUID are
in the order of its text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader

VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd")
VLEK = UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1")
ASK = UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782")
ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")
CRL = UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea")

_MAX_SIZE = 64 * 1024
_MAX_ENTRIES = 16
_ENTRY_SIZE = 24
_END = UUID(int=0)


@dataclass(frozen=True)
class CertificateTable:
    """The contents of the table by the GUID of each entry."""

    entries: Mapping[UUID, bytes]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From the pages of an extended guest request, padding included. Raises MalformedEvidence."""
        if len(data) > _MAX_SIZE:
            raise MalformedEvidence("cert_table", 0, f"has {len(data)} bytes, at most {_MAX_SIZE} are allowed")
        reader = Reader(data, "cert_table", "little")
        places: list[tuple[UUID, int, int]] = []
        while True:
            guid = UUID(bytes=reader.take(16, "guid"))
            offset, size = reader.unsigned(4, "offset"), reader.unsigned(4, "length")
            if guid == _END:
                break
            if len(places) == _MAX_ENTRIES:
                raise reader.malformed("entries", f"are more than {_MAX_ENTRIES}")
            if any(guid == other for other, _, _ in places):
                raise reader.malformed("guid", f"is {guid} twice")
            places.append((guid, offset, size))
        entries = {}
        for guid, offset, size in places:
            if offset < reader.offset or size > len(data) or offset > len(data) - size:
                raise reader.malformed("offset", f"{offset} and length {size} of {guid} lie outside the data")
            entries[guid] = data[offset : offset + size]
        return cls(entries)

    def encode(self) -> bytes:
        """The table without padding."""
        header, body = b"", b""
        start = (len(self.entries) + 1) * _ENTRY_SIZE
        for guid, content in self.entries.items():
            header += guid.bytes + (start + len(body)).to_bytes(4, "little") + len(content).to_bytes(4, "little")
            body += content
        return header + bytes(_ENTRY_SIZE) + body

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """The certificates of the chain (DER), that of the signing key first."""
        return tuple(self.entries[guid] for guid in (VCEK, VLEK, ASK, ARK) if self.entries.get(guid))

    @property
    def crls(self) -> tuple[bytes, ...]:
        """The revocation list (DER), if the table has one."""
        return tuple(self.entries[guid] for guid in (CRL,) if self.entries.get(guid))
