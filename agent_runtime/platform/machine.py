"""What differs from platform to platform: where the boot configuration comes from, and what evidence consists of."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cloister.attestation.evidence import CollateralItem, Platform, TpmQuote
from cloister.attestation.tpm.runtimelog import Measurement


@dataclass(frozen=True, kw_only=True)
class EvidenceParts:
    """Members of :class:`Evidence` that the machine makes or hands on, by the same names."""

    tpm_quote: TpmQuote | None = None
    ak_certificates: tuple[bytes, ...] = ()
    boot_event_log: bytes | None = None
    snp_report: bytes | None = None
    snp_certificates: bytes | None = None
    tdx_quote: bytes | None = None
    ccel: bytes | None = None
    hcl_report: bytes | None = None
    launch_endorsement: bytes | None = None
    collateral: tuple[CollateralItem, ...] = ()


class PlatformMachine(Protocol):
    """The machine as the agent sees it. What goes wrong raises CloisterError or OSError.

    Nothing here is believed: whoever serves the boot configuration and makes the evidence is judged by the party.
    """

    @property
    def platform(self) -> Platform:
        """What the evidence names."""

    @property
    def boot_configuration(self) -> bytes:
        """The bytes that the platform handed over, not parsed. Their size is bounded, but not by the right bound."""

    def measure(self, measurement: Measurement) -> None:
        """Into register 15, where the machine has one that its evidence shows."""

    def pcrs(self, indices: Iterable[int]) -> dict[int, bytes]:
        """Values of registers, SHA-256 bank; none where the evidence shows none."""

    def attest(self, report_data: bytes) -> EvidenceParts:
        """Fresh evidence over 64 bytes of report data."""
