"""The policy's section ``gcp``: which firmware and machines of Google are accepted, and the checks against it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Self

from cloister.attestation.gcp.certificates import InstanceInfo
from cloister.attestation.instances import GcpInstance
from cloister.attestation.result.verdict import NONE_NAMED, Recorder
from cloister.attestation.x509.certificate import Certificate


@dataclass(frozen=True)
class GcpPolicy:
    """``endorsement_root_spki_sha256`` pins the root that vouches for Google's firmware, by the SHA-256 of its key.

    Google publishes its certificate at https://pki.goog/cloud_integrity/GCE-cc-tcb-root_1.crt. ``snp_min_svn`` and
    ``tdx_min_svn`` are the least accepted security versions of firmware; None if the policy does not accept that
    hardware.
    """

    endorsement_root_spki_sha256: bytes
    snp_min_svn: int | None = None
    tdx_min_svn: int | None = None

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Self:
        """From the JSON value, which has passed the schema."""
        return cls(
            bytes.fromhex(value["endorsement_root_spki_sha256"]), value.get("snp_min_svn"), value.get("tdx_min_svn")
        )

    def value(self) -> dict[str, Any]:
        """The JSON value; what is absent is omitted."""
        value: dict[str, Any] = {"endorsement_root_spki_sha256": self.endorsement_root_spki_sha256.hex()}
        if self.snp_min_svn is not None:
            value["snp_min_svn"] = self.snp_min_svn
        if self.tdx_min_svn is not None:
            value["tdx_min_svn"] = self.tdx_min_svn
        return value


def check_measurement(checks: Recorder, name: str, found: bytes, endorsed: Collection[bytes]) -> None:
    """Google endorses the measurement."""
    wanted = f"one of the {len(endorsed)} measurements that Google endorses"
    checks.record(name, found in endorsed, wanted, found.hex())


def check_svn(checks: Recorder, least: int, found: int | None) -> None:
    """The firmware's security version is new enough; ``found`` is None without an endorsement for the hardware."""
    passed = found is not None and found >= least
    checks.record("gcp-firmware-svn", passed, f"at least {least}", "none" if found is None else str(found))


def check_instance(checks: Recorder, certificate: Certificate, allowed: tuple[GcpInstance, ...]) -> dict[str, str]:
    """The machine in the certificate is in production, and one that the policy names. Returns its names."""
    info = InstanceInfo.of(certificate)
    if info is None:
        checks.record("gcp-instance", False, "a machine that the policy names", "none in the certificate")
        checks.not_applicable("gcp-production", "the certificate names no machine")
        return {}
    found = "production" if info.production else "something else"
    checks.record("gcp-production", info.production, "production", found)
    names = " or ".join(map(str, allowed)) or NONE_NAMED
    checks.record("gcp-instance", info.is_one_of(allowed), names, str(info))
    return {
        "gcp_project": info.project,
        "gcp_project_number": str(info.project_number),
        "gcp_zone": info.zone,
        "gcp_instance": f"{info.instance_name} ({info.instance_id})",
    }
