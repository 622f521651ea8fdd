"""The platforms ``gcp-snp`` and ``gcp-tdx``: hardware reports, Google's vTPM and metadata server."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import UUID

from agent_runtime.errors import AgentError
from agent_runtime.platform import tsm
from agent_runtime.platform.boot_logs import read_event_log
from agent_runtime.platform.machine import EvidenceParts
from agent_runtime.platform.metadata import MetadataClient
from agent_runtime.platform.tpm import Tpm
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Platform
from cloister.attestation.snp.table import CertificateTable
from cloister.attestation.tpm import structures
from cloister.attestation.tpm.commands import Transport
from cloister.attestation.tpm.runtimelog import Measurement

# Google Compute Engine, "About VM metadata": custom attributes of the instance, by their keys.
BOOT_CONFIGURATION = "/computeMetadata/v1/instance/attributes/cloister-boot-configuration"

ENDORSEMENT = UUID("9f4116cd-c503-4f5a-8f6f-fb68882f4ce2")
"""Google's signed launch endorsement in the host's certificate table (gce-tcb-verifier, sev.GCEFwCertGUID)."""

_FLAVOR = "metadata-flavor"
_GOOGLE = "Google"
_PLATFORMS = {tsm.SEV_GUEST: Platform.GCP_SNP, tsm.TDX_GUEST: Platform.GCP_TDX}


def metadata_service() -> MetadataClient:
    """A client of the metadata server, which requires this header and returns it. The guest uses no DNS."""
    return MetadataClient({"Metadata-Flavor": _GOOGLE}, _check)


class GcpMachine:
    """A CVM on Google Cloud.

    With SEV-SNP the vTPM measures the image. With TDX the hardware does, and the vTPM is not used.
    """

    def __init__(
        self,
        transport: Transport,
        metadata: MetadataClient,
        reports: tsm.ReportInterface,
        *,
        boot_event_log: Path,
        ccel: Path,
    ) -> None:
        """Raises AgentError, TpmError, MalformedEvidence or OSError when the machine is not a CVM."""
        what = "boot configuration (cloister-boot-configuration)"
        self.boot_configuration = metadata.get(BOOT_CONFIGURATION, what=what)
        self._reports = reports
        provider = reports.provider()
        if provider not in _PLATFORMS:
            raise AgentError("The machine is not a confidential VM: the kernel found neither SEV-SNP nor TDX.")
        self.platform = _PLATFORMS[provider]
        self._log = read_event_log(boot_event_log if self.platform is Platform.GCP_SNP else ccel)
        if self.platform is Platform.GCP_SNP:
            self._tpm = Tpm.from_template(transport)
            self._certificate = self._tpm.certificate(structures.NV_AK_CERTIFICATE)

    def measure(self, measurement: Measurement) -> None:
        """Extend PCR 15 of the vTPM. A TD has no free register; its report data covers the same digests."""
        if self.platform is Platform.GCP_SNP:
            self._tpm.extend(measurement)

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of the vTPM's PCRs. Empty for a TD."""
        return self._tpm.pcrs(indices) if self.platform is Platform.GCP_SNP else {}

    def attest(self, report_data: bytes) -> EvidenceParts:
        """The hardware report. With SEV-SNP also a TPM quote over the same data and the host's certificates."""
        report = self._reports.take(report_data)
        if self.platform is Platform.GCP_TDX:
            return EvidenceParts(tdx_quote=report.outblob, ccel=self._log)
        table, endorsement = _host_certificates(report.auxblob)
        return EvidenceParts(
            tpm_quote=self._tpm.quote(report_data),
            ak_certificates=(self._certificate,),
            boot_event_log=self._log,
            snp_report=report.outblob,
            snp_certificates=table,
            launch_endorsement=endorsement,
        )


def _check(headers: Mapping[str, str]) -> None:
    if headers.get(_FLAVOR) != _GOOGLE:
        raise AgentError("The metadata server's answer has no Metadata-Flavor header: something else answered.")


def _host_certificates(auxblob: bytes) -> tuple[bytes | None, bytes | None]:
    """The host's certificate table and the endorsement in it. A malformed table is left out of the evidence."""
    try:
        table = CertificateTable.parse(auxblob)
    except MalformedEvidence:
        return None, None
    return auxblob, table.entries.get(ENDORSEMENT) or None
