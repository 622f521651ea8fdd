"""The policy's section ``azure``: which paravisors count.

The vTPM is the paravisor's, so whoever brings a paravisor of their own brings every register. An empty list rejects.
"""

from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.errors import PolicyError


@dataclass(frozen=True)
class AzureSnpPolicy:
    """``id_key_digests`` (SHA-384) name the keys that sign paravisors, ``min_guest_svn`` their least version."""

    id_key_digests: tuple[bytes, ...]
    min_guest_svn: int

    def __post_init__(self) -> None:
        """Raises PolicyError for what a report has when nobody signed the guest: it would accept any paravisor."""
        if any(not any(digest) for digest in self.id_key_digests):
            raise PolicyError(
                "The policy's azure.snp.id_key_digests has zeros, which a report has when no key signed the paravisor.",
                hint="Anybody with a chip could then forge every register: name Microsoft's key.",
            )


@dataclass(frozen=True)
class AzureTdxPolicy:
    """``mrtds`` are measurements of paravisors, ``mrseams`` of the TDX modules below them; 48 bytes each."""

    mrtds: tuple[bytes, ...]
    mrseams: tuple[bytes, ...]


@dataclass(frozen=True)
class AzurePolicy:
    """What counts at Azure, by hardware; None where the policy does not accept it."""

    snp: AzureSnpPolicy | None = None
    tdx: AzureTdxPolicy | None = None

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which keeps the schema."""
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


def _digests(texts: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in texts)
