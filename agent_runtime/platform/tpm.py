"""The TPM: one attestation key, quotes, NV indices and PCR 15."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from cloister.attestation.errors import MalformedEvidence, TpmError
from cloister.attestation.evidence import TpmQuote
from cloister.attestation.tpm import commands, structures
from cloister.attestation.tpm.runtimelog import PCR, Measurement
from cloister.protocol import transcript

TPM_DEVICE = Path("/dev/tpmrm0")
_MAX_RESPONSE = 4096
_NO_SUCH_INDEX = 0x18B
"""TPM_RC_HANDLE for the first handle (TPM 2.0 part 2, section 6.6.3)."""


def open_device(path: Path = TPM_DEVICE) -> commands.Transport:
    """Open the kernel's resource manager, which isolates this process's TPM objects. Raises OSError."""
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def send(command: bytes) -> bytes:
        os.write(device, command)
        return os.read(device, _MAX_RESPONSE)

    return send


class Tpm:
    """A TPM with the attestation key ``handle``, whose public area (TPMT_PUBLIC) is ``ak_public``."""

    def __init__(self, transport: commands.Transport, handle: int, ak_public: bytes) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._handle = handle
        self._ak_public = ak_public

    @classmethod
    def from_template(cls, transport: commands.Transport) -> Self:
        """Create the key from the template in NV 0x01c10003, as on GCP and ``local``.

        Raises TpmError or MalformedEvidence.
        """
        template = commands.nv_read(transport, structures.NV_AK_TEMPLATE)
        handle, public = commands.create_primary(transport, commands.ENDORSEMENT, template)
        return cls(transport, handle, public.marshal())

    @classmethod
    def from_handle(cls, transport: commands.Transport, handle: int) -> Self:
        """Use a persistent key, as on Azure. Raises TpmError or MalformedEvidence."""
        return cls(transport, handle, commands.read_public(transport, handle))

    def has(self, index: int) -> bool:
        """Return whether an NV index is defined, written or not. Raises TpmError or MalformedEvidence."""
        try:
            with self._lock:
                commands.nv_read_public(self._transport, index)
        except TpmError as error:
            if error.code != _NO_SUCH_INDEX:
                raise
            return False
        return True

    def read(self, index: int) -> bytes:
        """The contents of an NV index. Raises TpmError or MalformedEvidence."""
        with self._lock:
            return commands.nv_read(self._transport, index)

    def write(self, index: int, data: bytes) -> None:
        """Write to the start of an NV index. Raises TpmError."""
        with self._lock:
            commands.nv_write(self._transport, index, data)

    def define(self, index: int, size: int) -> None:
        """Define an NV index of ``size`` bytes. Raises TpmError."""
        with self._lock:
            commands.nv_define(self._transport, index, size)

    def certificate(self, index: int) -> bytes:
        """The certificate (DER) at the start of an NV index. Raises TpmError or MalformedEvidence."""
        return _whole_der(self.read(index))

    def extend(self, measurement: Measurement) -> None:
        """Extend PCR 15."""
        with self._lock:
            commands.pcr_extend(self._transport, PCR, measurement.extended())

    def quote(self, report_data: bytes) -> TpmQuote:
        """A quote over PCR 0 to 15 and 64 bytes of report data, with the PCR values."""
        with self._lock:
            values = commands.pcr_read(self._transport, structures.QUOTED_PCRS)
            qualifying = transcript.tpm_qualifying_data(report_data)
            attest, signature = commands.quote(self._transport, self._handle, qualifying, structures.QUOTED_PCRS)
        return TpmQuote(attest, signature, self._ak_public, tuple(values[index] for index in structures.QUOTED_PCRS))

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of PCRs in the SHA-256 bank."""
        with self._lock:
            return commands.pcr_read(self._transport, indices)


def _whole_der(data: bytes) -> bytes:
    """The DER value at the start of an NV index, which may be larger than its contents."""
    if len(data) < 2:
        raise MalformedEvidence("NV index", 0, "holds no certificate")
    if data[1] < 0x80:
        return data[: 2 + data[1]]
    octets = data[1] & 0x7F
    return data[: 2 + octets + int.from_bytes(data[2 : 2 + octets])]
