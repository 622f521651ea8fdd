"""The certificate of a platform's key (PCK): what Intel's extension in it says about the platform.

Source: Intel SGX PCK Certificate and Certificate Revocation List Profile Specification, section 1.3.5 (extension
1.2.840.113741.1.13.1 and its members) and 1.3.1 to 1.3.3 (the subjects of leaf and authorities). The extension is
``SEQUENCE OF SEQUENCE { OBJECT IDENTIFIER, value }`` in DER.
"""

from dataclasses import dataclass
from typing import Self

from cryptography import x509

from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.x509.certificate import Certificate
from cloister.attestation.x509.der import OCTET_STRING, SEQUENCE, DerReader

SGX_EXTENSION = "1.2.840.113741.1.13.1"

COMPONENTS = 16
"""SVNs of the CPU's TCB components."""

PCK_NAME = "Intel SGX PCK Certificate"
PCK_ISSUERS = ("Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA")
SIGNER_NAME = "Intel SGX TCB Signing"

_PPID, _TCB, _PCE_ID, _FMSPC = (f"{SGX_EXTENSION}.{index}" for index in (1, 2, 3, 4))
_SGX_TYPE, _INSTANCE, _CONFIGURATION = (f"{SGX_EXTENSION}.{index}" for index in (5, 6, 7))
_PCE_SVN, _CPU_SVN = f"{_TCB}.17", f"{_TCB}.18"
_TCB_MEMBERS = COMPONENTS + 2
_REQUIRED = {_PPID, _TCB, _PCE_ID, _FMSPC}
_KNOWN = {*_REQUIRED, _SGX_TYPE, _INSTANCE, _CONFIGURATION}
_COMPONENT_NAMES = tuple(f"{_TCB}.{index}" for index in range(1, COMPONENTS + 1))
_TCB_NAMES = {*_COMPONENT_NAMES, _PCE_SVN, _CPU_SVN}
_MAX_MEMBERS = 16


@dataclass(frozen=True)
class Pck:
    """The certificate of a platform's key and the members of Intel's extension.

    certificate: the certificate itself.
    ppid: the identifier of the platform, 16 bytes.
    components: the SVNs of SGX TCB components 1 to 16.
    pce_svn: the SVN of the provisioning certification enclave.
    cpu_svn: the raw SVN of the CPU, 16 bytes.
    pce_id: the identifier of the provisioning certification enclave, 2 bytes.
    fmspc: the kind of platform, for which TCB info is published, 6 bytes.
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
        """From a parsed certificate. Raises MalformedEvidence if its extension is missing or malformed."""
        for extension in certificate.parsed.extensions:
            if extension.oid.dotted_string == SGX_EXTENSION and isinstance(extension.value, x509.UnrecognizedExtension):
                return cls._read(certificate, extension.value.value)
        raise MalformedEvidence("PCK certificate", 0, f"has no extension {SGX_EXTENSION}")

    @classmethod
    def _read(cls, certificate: Certificate, der: bytes) -> Self:
        reader = DerReader(der, "PCK certificate")
        members = _members(reader.inside(SEQUENCE, "SGX extension"), _MAX_MEMBERS)
        reader.end()
        if not _REQUIRED <= members.keys() <= _KNOWN:
            raise reader.malformed("SGX extension", "does not have the members that Intel specifies")
        tcb = _members(members[_TCB].inside(SEQUENCE, "TCB"), _TCB_MEMBERS)
        if tcb.keys() != _TCB_NAMES:
            raise reader.malformed("TCB", "does not have exactly 16 components, PCESVN and CPUSVN")
        members[_TCB].end()
        return cls(
            certificate=certificate,
            ppid=_octets(members[_PPID], 16, "PPID"),
            components=tuple(_number(tcb[name], 0xFF, "TCB component") for name in _COMPONENT_NAMES),
            pce_svn=_number(tcb[_PCE_SVN], 0xFFFF, "PCESVN"),
            cpu_svn=_octets(tcb[_CPU_SVN], 16, "CPUSVN"),
            pce_id=_octets(members[_PCE_ID], 2, "PCE-ID"),
            fmspc=_octets(members[_FMSPC], 6, "FMSPC"),
        )


def _members(reader: DerReader, most: int) -> dict[str, DerReader]:
    """The readers of the values by identifier."""
    members: dict[str, DerReader] = {}
    while reader.remaining:
        pair = reader.inside(SEQUENCE, "member")
        identifier = pair.oid("identifier")
        if identifier in members or len(members) == most:
            raise reader.malformed("member", "occurs twice, or there are too many")
        members[identifier] = pair
    return members


def _octets(reader: DerReader, size: int, field: str) -> bytes:
    content = reader.element(OCTET_STRING, field)
    if len(content) != size:
        raise reader.malformed(field, f"has {len(content)} bytes, must have {size}")
    reader.end()
    return content


def _number(reader: DerReader, most: int, field: str) -> int:
    number = reader.unsigned(field)
    if number > most:
        raise reader.malformed(field, f"is {number}, must be 0 to {most}")
    reader.end()
    return number
