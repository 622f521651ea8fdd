"""A stand-in for the vTPM of Azure's paravisor: swtpm with the paravisor's key, report and indices.

swtpm signs the quotes. The stand-in sits between the guest and swtpm: it makes a new report after the guest has written
its user data, and serves it from an index that is larger than swtpm allows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent_runtime.platform import azure
from cloister.attestation.azure import hcl
from cloister.attestation.testkit import Paravisor
from cloister.attestation.testkit.microsoft import encode_hcl_report
from cloister.attestation.tpm import commands, structures
from cloister.attestation.tpm.rsa import RsaPublic

_NV_WRITE, _NV_READ, _NV_READ_PUBLIC = 0x137, 0x14E, 0x169
_EVICT_CONTROL, _CREATE_PRIMARY = 0x120, 0x131
_NO_DA = 1 << 10
TEMPLATE = RsaPublic(structures.ALG_SHA256, structures.AK_ATTRIBUTES | _NO_DA, b"", bytes(256))
# TDREPORT: REPORTMACSTRUCT.REPORTDATA (Intel TDX module ABI specification).
REPORT_DATA = slice(128, 192)

Hardware = Callable[[bytes], bytes]
"""Maps 64 bytes of report data to a hardware report."""


@dataclass(frozen=True)
class Key:
    """The public part of a key in the TPM, as the testkit's claims take it."""

    modulus: bytes

    def public(self) -> RsaPublic:
        return RsaPublic(structures.ALG_SHA256, TEMPLATE.attributes, b"", self.modulus)


@dataclass
class Vtpm:
    """``late`` is how often the guest still reads the old report after a write; None: always.

    The last of these reads returns the old report up to ``torn`` and the new one after it.
    """

    send: commands.Transport
    hardware: Hardware
    report_type: int
    late: int | None = 3
    torn: int | None = None
    certificate: bytes | None = None
    claims: dict[str, Any] = field(default_factory=dict)

    def provision(self) -> None:
        """What the paravisor does before the guest starts: key, report of the boot and an optional certificate."""
        handle, public = create_primary(self.send, template())
        evict(self.send, handle, azure.AK_HANDLE)
        commands.flush_context(self.send, handle)
        self.key = Key(RsaPublic.parse(public).modulus)
        self._pending = -1
        self._stored = self._report(bytes(64))
        if self.certificate is not None:
            # Azure's index is larger than its contents.
            commands.nv_define(self.send, azure.NV_AK_CERTIFICATE, len(self.certificate) + 100)
            commands.nv_write(self.send, azure.NV_AK_CERTIFICATE, self.certificate.ljust(len(self.certificate) + 100))

    def __call__(self, command: bytes) -> bytes:
        """A command from the guest."""
        code, first, second = (int.from_bytes(command[start : start + 4]) for start in (6, 10, 14))
        if (code, first) == (_NV_READ_PUBLIC, azure.NV_REPORT):
            if self._pending in (0, 1 if self.torn else 0):
                head = self._stored[: self.torn] if self._pending else b""
                new = self._report(commands.nv_read(self.send, azure.NV_USER_DATA))
                self._stored = head + new[len(head) :]
            self._pending -= 1
            public = structures.NvPublic(
                azure.NV_REPORT, structures.ALG_SHA256, structures.NV_OWNER_READ, b"", len(self._stored)
            )
            return _response(0x8001, structures.sized(public.marshal()) + structures.sized(bytes(34)))
        if (code, second) == (_NV_READ, azure.NV_REPORT):
            size, offset = int.from_bytes(command[-4:-2]), int.from_bytes(command[-2:])
            data = structures.sized(self._stored[offset : offset + size])
            return _response(0x8002, len(data).to_bytes(4) + data + bytes(5))
        response = self.send(command)
        if (code, second) == (_NV_WRITE, azure.NV_USER_DATA) and self.late is not None:
            self._pending = self.late
        return response

    def _report(self, user_data: bytes) -> bytes:
        claims = Paravisor(**self.claims).claims(self.key, user_data)
        draft = hcl.HclReport.parse(encode_hcl_report(b"", claims, self.report_type))
        return encode_hcl_report(self.hardware(draft.report_data()), claims, self.report_type)


def td_report(report_data: bytes) -> bytes:
    """A TDREPORT with the fields that the stand-in of the quoting enclave reads."""
    report = bytearray(hcl.TDREPORT_SIZE)
    report[REPORT_DATA] = report_data
    return bytes(report)


def template() -> bytes:
    """TPMT_PUBLIC of the paravisor's key, without the key."""
    return TEMPLATE.marshal()[:-258] + structures.sized(b"")


def create_primary(send: commands.Transport, public: bytes) -> tuple[int, bytes]:
    """TPM2_CreatePrimary under the endorsement hierarchy: handle and TPMT_PUBLIC."""
    body = (
        structures.sized(structures.sized(b"") + structures.sized(b""))
        + structures.sized(public)
        + structures.sized(b"")
        + bytes(4)
    )
    answer = _authorized(send, _CREATE_PRIMARY, commands.ENDORSEMENT.to_bytes(4), body)
    size = int.from_bytes(answer[8:10])
    return int.from_bytes(answer[:4]), answer[10 : 10 + size]


def evict(send: commands.Transport, handle: int, persistent: int) -> None:
    """TPM2_EvictControl: make a key persistent."""
    handles = commands.OWNER.to_bytes(4) + handle.to_bytes(4)
    _authorized(send, _EVICT_CONTROL, handles, persistent.to_bytes(4))


def _response(tag: int, body: bytes) -> bytes:
    return tag.to_bytes(2) + (10 + len(body)).to_bytes(4) + bytes(4) + body


def _authorized(send: commands.Transport, code: int, handles: bytes, parameters: bytes) -> bytes:
    """A command with the empty password (TPM 2.0 part 1, section 18.4); the response behind its header."""
    session = (0x40000009).to_bytes(4) + bytes(5)
    body = handles + len(session).to_bytes(4) + session + parameters
    response = send((0x8002).to_bytes(2) + (10 + len(body)).to_bytes(4) + code.to_bytes(4) + body)
    assert int.from_bytes(response[6:10]) == 0, response.hex()
    return response[10:]
