"""The certificate of a platform's key (PCK): what Intel says in it of the platform.

Source: Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, section 1.3.5 (extension
1.2.840.113741.1.13.1 and its members) and 1.3.1 to 1.3.3 (the subjects of leaf and authorities). The extension is
``SEQUENCE OF SEQUENCE { OBJECT IDENTIFIER, value }`` in DER.
"""

from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.x509.oid import NameOID

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.reader import Reader
from cloister.attestation.x509 import Certificate

SGX_EXTENSION = "1.2.840.113741.1.13.1"

COMPONENTS = 16
"""SVNs of the CPU's TCB components."""

PCK_NAME = "Intel SGX PCK Certificate"
PCK_ISSUERS = ("Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA")
SIGNER_NAME = "Intel SGX TCB Signing"

_INTEGER, _OCTETS, _OID, _SEQUENCE = 0x02, 0x04, 0x06, 0x30
# 1.2.840.113741.1.13.1 as DER content; the members' identifiers continue it.
_PREFIX = bytes.fromhex("2a864886f84d010d01")
_PPID, _TCB, _PCE_ID, _FMSPC = b"\x01", b"\x02", b"\x03", b"\x04"
_SGX_TYPE, _INSTANCE, _CONFIGURATION = b"\x05", b"\x06", b"\x07"
_PCE_SVN, _CPU_SVN = b"\x02\x11", b"\x02\x12"
_TCB_MEMBERS = COMPONENTS + 2
_MAX_MEMBERS = 16


@dataclass(frozen=True)
class Pck:
    """A platform's certificate. ``components`` are the SVNs of SGX TCB component 1 to 16, ``ppid`` the platform's name.

    ``fmspc`` (6 bytes) is the kind of platform that TCB info is published for, ``pce_id`` (2 bytes) the provisioning
    certification enclave.
    """

    certificate: Certificate
    ppid: bytes
    components: tuple[int, ...]
    pce_svn: int
    cpu_svn: bytes
    pce_id: bytes
    fmspc: bytes

    @classmethod
    def parse(cls, certificate: Certificate) -> Self:
        """From a certificate that was read. Raises MalformedEvidence when it says nothing of a platform."""
        for extension in certificate.parsed.extensions:
            if extension.oid.dotted_string == SGX_EXTENSION and isinstance(extension.value, x509.UnrecognizedExtension):
                return cls._read(certificate, extension.value.value)
        raise MalformedEvidence("PCK certificate", 0, f"has no extension {SGX_EXTENSION}")

    @classmethod
    def _read(cls, certificate: Certificate, der: bytes) -> Self:
        outer = Reader(der, "PCK certificate.SGX extension")
        members = _members(_value(outer, _SEQUENCE, "extension"), "SGX extension", _MAX_MEMBERS)
        outer.end()
        known = {_PPID, _TCB, _PCE_ID, _FMSPC, _SGX_TYPE, _INSTANCE, _CONFIGURATION}
        if not {_PPID, _TCB, _PCE_ID, _FMSPC} <= members.keys() <= known:
            raise MalformedEvidence("PCK certificate.SGX extension", 0, "has not the members that Intel specifies")
        tcb = _members(_content(members[_TCB], _SEQUENCE, "TCB"), "TCB", _TCB_MEMBERS)
        names = [b"\x02" + bytes([index]) for index in range(1, COMPONENTS + 1)]
        if tcb.keys() != {*names, _PCE_SVN, _CPU_SVN}:
            raise MalformedEvidence("PCK certificate.TCB", 0, "has not exactly 16 components, PCESVN and CPUSVN")
        return cls(
            certificate=certificate,
            ppid=_octets(members[_PPID], 16, "PPID"),
            components=tuple(_integer(tcb[name], 0xFF, "TCB component") for name in names),
            pce_svn=_integer(tcb[_PCE_SVN], 0xFFFF, "PCESVN"),
            cpu_svn=_octets(tcb[_CPU_SVN], 16, "CPUSVN"),
            pce_id=_octets(members[_PCE_ID], 2, "PCE-ID"),
            fmspc=_octets(members[_FMSPC], 6, "FMSPC"),
        )


def common_name(certificate: Certificate) -> str:
    """The common name of the subject, or nothing when there is none or more than one."""
    names = certificate.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    value = names[0].value if len(names) == 1 else ""
    return value if isinstance(value, str) else ""


def _members(content: bytes, name: str, most: int) -> dict[bytes, bytes]:
    """The values (tag, length and content) by the rest of their identifier."""
    reader = Reader(content, f"PCK certificate.{name}")
    members: dict[bytes, bytes] = {}
    while reader.remaining:
        pair = Reader(_value(reader, _SEQUENCE, "member"), f"PCK certificate.{name}.member")
        identifier = _value(pair, _OID, "identifier")
        suffix = identifier.removeprefix(_PREFIX)
        if suffix == identifier or suffix in members or len(members) == most:
            raise reader.malformed("member", "is none that Intel specifies, comes twice, or is one too many")
        members[suffix] = pair.take(pair.remaining, "value")
    return members


def _value(reader: Reader, tag: int, field: str) -> bytes:
    """The content of the next value, which must have this tag. Lengths are in DER: definite, in the shortest form."""
    start = reader.offset
    if reader.unsigned(1, field) != tag:
        raise reader.malformed(field, f"has not the tag {tag:#04x}", start)
    size = reader.unsigned(1, field)
    if size >= 0x80:
        count = size & 0x7F
        if not 1 <= count <= 2:
            raise reader.malformed(field, "has a length of more than two bytes", start)
        size = reader.unsigned(count, field)
        if size < (0x80 if count == 1 else 0x100):
            raise reader.malformed(field, "has a length that is not in its shortest form", start)
    return reader.take(size, field)


def _content(value: bytes, tag: int, field: str) -> bytes:
    reader = Reader(value, f"PCK certificate.{field}")
    content = _value(reader, tag, "value")
    reader.end()
    return content


def _octets(value: bytes, size: int, field: str) -> bytes:
    content = _content(value, _OCTETS, field)
    if len(content) != size:
        raise MalformedEvidence(f"PCK certificate.{field}", 0, f"has {len(content)} bytes, must have {size}")
    return content


def _integer(value: bytes, most: int, field: str) -> int:
    content = _content(value, _INTEGER, field)
    number = int.from_bytes(content, signed=True)
    if not content or not 0 <= number <= most or (len(content) > 1 and content[0] == 0 and content[1] < 0x80):
        raise MalformedEvidence(f"PCK certificate.{field}", 0, f"is not a whole number from 0 to {most}")
    return number
