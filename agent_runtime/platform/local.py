"""The platform ``local``: a software TPM, and a boot configuration that init read from QEMU's fw_cfg."""

from collections.abc import Iterable
from pathlib import Path

from agent_runtime.platform.boot_logs import read_event_log
from agent_runtime.platform.machine import EvidenceParts
from agent_runtime.platform.tpm import Tpm
from cloister.attestation.evidence import Platform
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.commands import Transport
from cloister.attestation.tpm.runtimelog import Measurement
from cloister.protocol.bootconfig import MAX_SIZE


class LocalMachine:
    """A VM without confidential hardware. The workspace's authority certifies its attestation key (NV 0x01c10002)."""

    platform = Platform.LOCAL

    def __init__(self, transport: Transport, *, boot_configuration: Path, boot_event_log: Path) -> None:
        """Create the attestation key. Raises TpmError, MalformedEvidence, AgentError or OSError."""
        with boot_configuration.open("rb") as file:
            self.boot_configuration = file.read(MAX_SIZE + 1)
        self._event_log = read_event_log(boot_event_log)
        self._tpm = Tpm.from_template(transport)
        self._certificate = self._tpm.certificate(structures.NV_AK_CERTIFICATE)

    def measure(self, measurement: Measurement) -> None:
        """Extend PCR 15."""
        self._tpm.extend(measurement)

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of the TPM's PCRs."""
        return self._tpm.pcrs(indices)

    def attest(self, report_data: bytes) -> EvidenceParts:
        """A TPM quote, its key's certificate and the firmware's event log."""
        return EvidenceParts(
            tpm_quote=self._tpm.quote(report_data),
            ak_certificates=(self._certificate,),
            boot_event_log=self._event_log,
        )
