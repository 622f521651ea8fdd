"""The differences between platforms: the source of the boot configuration, and the contents of evidence."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cloister.attestation.collateral_source import CollateralItem
from cloister.attestation.evidence import Platform, TpmQuote
from cloister.attestation.tpm.runtimelog import Measurement


@dataclass(frozen=True, kw_only=True)
class EvidenceParts:
    """The members of :class:`Evidence` that come from the platform, by the same names. None: not on this platform."""

    tpm_quote: TpmQuote | None = None
    """Quote of the TPM or vTPM."""

    ak_certificates: tuple[bytes, ...] = ()
    """Certificates (DER) of the quote's key. Empty when the key is endorsed in another way."""

    boot_event_log: bytes | None = None
    """The firmware's TCG event log."""

    snp_report: bytes | None = None
    """SEV-SNP attestation report, unless it is in ``hcl_report``."""

    snp_certificates: bytes | None = None
    """The host's certificate table for ``snp_report``."""

    tdx_quote: bytes | None = None
    """TDX quote."""

    ccel: bytes | None = None
    """The firmware's event log of a TD."""

    hcl_report: bytes | None = None
    """Report of Azure's paravisor."""

    launch_endorsement: bytes | None = None
    """Google's signed endorsement of its firmware."""

    collateral: tuple[CollateralItem, ...] = ()
    """Certificates that the platform offers. A party can also fetch them from the vendor."""


class PlatformMachine(Protocol):
    """The machine that the agent runs on. Methods raise CloisterError or OSError.

    The agent trusts none of this: the party's appraisal covers the boot configuration and the evidence.
    """

    @property
    def platform(self) -> Platform:
        """The platform that the evidence names."""

    @property
    def boot_configuration(self) -> bytes:
        """The bytes that the platform provided, unparsed. May exceed a boot configuration's maximum size."""

    def measure(self, measurement: Measurement) -> None:
        """Extend PCR 15, if the platform's evidence has PCRs."""

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of PCRs in the SHA-256 bank. Empty if the platform's evidence has no PCRs."""

    def attest(self, report_data: bytes) -> EvidenceParts:
        """Make fresh evidence over 64 bytes of report data."""
