"""The TPM as the agent uses it: one attestation key, quotes, and register 15."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from cloister.attestation import tpm, tpm_commands
from cloister.attestation.evidence import TpmQuote
from cloister.attestation.runtimelog import PCR, Measurement
from cloister.protocol import transcript

TPM_DEVICE = Path("/dev/tpmrm0")
_MAX_RESPONSE = 4096


def open_device(path: Path = TPM_DEVICE) -> tpm_commands.Transport:
    """The kernel's resource manager: objects loaded through it are this process's own. Raises OSError."""
    device = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def send(command: bytes) -> bytes:
        os.write(device, command)
        return os.read(device, _MAX_RESPONSE)

    return send


class Tpm:
    """A TPM that holds, as GCP's does, the template of an attestation key and its certificate in NV indices."""

    def __init__(self, transport: tpm_commands.Transport) -> None:
        """Make the attestation key. Raises TpmError or MalformedEvidence."""
        self._transport = transport
        self._lock = threading.Lock()
        template = tpm_commands.nv_read(transport, tpm.NV_AK_TEMPLATE)
        self._handle, public = tpm_commands.create_primary(transport, tpm_commands.ENDORSEMENT, template)
        self._ak_public = public.marshal()
        self.certificate = _whole_der(tpm_commands.nv_read(transport, tpm.NV_AK_CERTIFICATE))

    def extend(self, measurement: Measurement) -> None:
        """Measure into register 15."""
        with self._lock:
            tpm_commands.pcr_extend(self._transport, PCR, measurement.extended())

    def quote(self, report_data: bytes) -> TpmQuote:
        """A quote over PCR 0 to 15 and 64 bytes of report data, with the values that it covers."""
        with self._lock:
            values = self._read(tpm.QUOTED_PCRS)
            qualifying = transcript.tpm_qualifying_data(report_data)
            attest, signature = tpm_commands.quote(self._transport, self._handle, qualifying, tpm.QUOTED_PCRS)
        return TpmQuote(attest, signature, self._ak_public, tuple(values[index] for index in tpm.QUOTED_PCRS))

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of registers, SHA-256 bank."""
        with self._lock:
            return self._read(indices)

    def _read(self, indices: Iterable[int]) -> dict[int, bytes]:
        return tpm_commands.pcr_read(self._transport, indices)


def _whole_der(data: bytes) -> bytes:
    """The DER value at the front of an NV index, which may be larger than what stands in it."""
    if len(data) < 2 or data[1] < 0x80:
        return data[: 2 + (data[1] if len(data) > 1 else 0)]
    octets = data[1] & 0x7F
    return data[: 2 + octets + int.from_bytes(data[2 : 2 + octets])]
