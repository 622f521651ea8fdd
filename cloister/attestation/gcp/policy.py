"""The policy's section ``gcp``: which of Google's firmware counts."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class GcpPolicy:
    """``endorsement_root_spki_sha256`` pins the root that vouches for Google's firmware, by the SHA-256 of its key.

    Google publishes its certificate at https://pki.goog/cloud_integrity/GCE-cc-tcb-root_1.crt. ``snp_min_svn`` and
    ``tdx_min_svn`` are the least security versions of firmware, None where the policy does not accept the hardware.
    """

    endorsement_root_spki_sha256: bytes
    snp_min_svn: int | None = None
    tdx_min_svn: int | None = None

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which keeps the schema."""
        return cls(
            bytes.fromhex(value["endorsement_root_spki_sha256"]), value.get("snp_min_svn"), value.get("tdx_min_svn")
        )

    def value(self) -> dict[str, Any]:
        """The JSON value; what is absent is left out."""
        value: dict[str, Any] = {"endorsement_root_spki_sha256": self.endorsement_root_spki_sha256.hex()}
        if self.snp_min_svn is not None:
            value["snp_min_svn"] = self.snp_min_svn
        if self.tdx_min_svn is not None:
            value["tdx_min_svn"] = self.tdx_min_svn
        return value
