"""The policy's section ``azure``: which paravisors are accepted, and the checks of a paravisor against it.

The vTPM belongs to the paravisor, so another paravisor could forge every register. An empty list rejects.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.errors import PolicyError
from cloister.attestation.result.verdict import Recorder


@dataclass(frozen=True)
class AzureSnpPolicy:
    """``id_key_digests`` (SHA-384) are keys that sign paravisors, ``min_guest_svn`` is the least accepted version."""

    id_key_digests: tuple[bytes, ...]
    min_guest_svn: int

    def __post_init__(self) -> None:
        """Raises PolicyError for zeros, which a report has if no key signed the guest: any paravisor would pass."""
        if any(not any(digest) for digest in self.id_key_digests):
            raise PolicyError(
                "The policy's azure.snp.id_key_digests has zeros, which a report has if no key signed the paravisor.",
                hint="Anyone with a processor could then forge every register: name Microsoft's key.",
            )


@dataclass(frozen=True)
class AzureTdxPolicy:
    """``mrtds`` are measurements of paravisors, ``mrseams`` of TDX modules below them; 48 bytes each."""

    mrtds: tuple[bytes, ...]
    mrseams: tuple[bytes, ...]


@dataclass(frozen=True)
class AzurePolicy:
    """What is accepted at Azure, by hardware; None if the policy does not accept that hardware."""

    snp: AzureSnpPolicy | None = None
    tdx: AzureTdxPolicy | None = None

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which has passed the schema."""
        snp, tdx = value.get("snp"), value.get("tdx")
        return cls(
            AzureSnpPolicy(_digests(snp["id_key_digests"]), snp["min_guest_svn"]) if snp else None,
            AzureTdxPolicy(_digests(tdx["mrtds"]), _digests(tdx["mrseams"])) if tdx else None,
        )

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        value: dict[str, Any] = {}
        if self.snp is not None:
            digests = [digest.hex() for digest in self.snp.id_key_digests]
            value["snp"] = {"id_key_digests": digests, "min_guest_svn": self.snp.min_guest_svn}
        if self.tdx is not None:
            value["tdx"] = {
                "mrtds": [digest.hex() for digest in self.tdx.mrtds],
                "mrseams": [digest.hex() for digest in self.tdx.mrseams],
            }
        return value


def check_snp_paravisor(checks: Recorder, id_key_digest: bytes, guest_svn: int, section: AzureSnpPolicy) -> None:
    """Microsoft's key signed the paravisor, and the paravisor is new enough.

    The checks of the SEV-SNP report include that its VMPL is 0.
    """
    checks.one_of("azure-id-key", section.id_key_digests, id_key_digest)
    least = section.min_guest_svn
    checks.record("azure-guest-svn", guest_svn >= least, f"at least {least}", str(guest_svn))


def check_tdx_paravisor(
    checks: Recorder, mr_td: bytes, mr_seam: bytes, rtmrs: Sequence[bytes], section: AzureTdxPolicy
) -> None:
    """Paravisor and TDX module are known, and nothing is measured in the runtime registers (RTMR 0 to 3)."""
    checks.one_of("azure-mrtd", section.mrtds, mr_td)
    checks.one_of("azure-mrseam", section.mrseams, mr_seam)
    used = [f"RTMR {index}: {value.hex()}" for index, value in enumerate(rtmrs) if any(value)]
    checks.record("azure-rtmrs", not used, "all zero", "; ".join(used) or "all zero")


def check_machine(checks: Recorder, unique_id: str, allowed: Sequence[str]) -> None:
    """The machine's vmUniqueId is one of those that the policy names, in upper case; any machine if it names none."""
    found = unique_id.upper()
    if allowed:
        checks.record("azure-machine", found in allowed, " or ".join(allowed), found)
    else:
        checks.not_applicable("azure-machine", "the policy names no machine at Azure", found)


def _digests(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)
