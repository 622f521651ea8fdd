"""The policy for raw evidence: what a bare report or quote must show. It accepts no machine and opens no session.

It is another document than a party's policy (``"kind": "evidence"``) and another type: it has the same vendors'
sections, and pins in place of images and boot configuration. Every pin is judged: one that applies to the evidence and
cannot be judged from it fails, one for another accepted platform is not applicable, and one that no accepted platform
can judge is an error when the policy is read.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from cloister.attestation.azure.policy import AzurePolicy
from cloister.attestation.errors import PolicyError
from cloister.attestation.instances import Instances
from cloister.attestation.policy import document
from cloister.attestation.policy.document import WHAT, PolicyKind
from cloister.attestation.snp import pins as snp_pins
from cloister.attestation.snp.pins import SnpPins
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.tdx import pins as tdx_pins
from cloister.attestation.tdx.pins import RTMRS, TdxPins
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.protocol import canonical, schema

SCHEMA = "evidence-policy"

PCRS = tuple(range(24))
"""The registers that a policy can pin (SHA-256 bank)."""


class RawPlatform(StrEnum):
    """Where raw evidence comes from. It does not say which cloud, so a report of a machine at Google is ``sev-snp``."""

    SEV_SNP = "sev-snp"
    TDX = "tdx"
    AZURE_SNP = "azure-snp"
    AZURE_TDX = "azure-tdx"
    TPM = "tpm"


SNP = (RawPlatform.SEV_SNP, RawPlatform.AZURE_SNP)
"""The platforms with a SEV-SNP report, and so with the section ``snp``."""

TDX = (RawPlatform.TDX, RawPlatform.AZURE_TDX)
"""The platforms with a TDX quote, and so with the section ``tdx``."""

AZURE = (RawPlatform.AZURE_SNP, RawPlatform.AZURE_TDX)
"""Azure's machines, which have names."""

TPM = (*AZURE, RawPlatform.TPM)
"""The platforms with a quote of a TPM, and so with registers. The last is such a quote alone."""

_SECTIONS = {
    "snp": SNP,
    "tdx": TDX,
    "azure.snp": (RawPlatform.AZURE_SNP,),
    "azure.tdx": (RawPlatform.AZURE_TDX,),
}
"""The sections with the platforms that need them."""


@dataclass(frozen=True)
class Pin:
    """A member of the policy that one check judges, and the platforms whose evidence has it."""

    member: str
    check: str
    platforms: tuple[RawPlatform, ...]


PINS = (
    Pin("snp.minimum_report_version", "snp-report-version", SNP),
    Pin("snp.vmpl", "snp-vmpl", SNP),
    Pin("snp.launch_digests", "snp-launch-digest", SNP),
    Pin("snp.host_data", "snp-host-data", SNP),
    Pin("snp.family_id", "snp-family-id", SNP),
    Pin("snp.image_id", "snp-image-id", SNP),
    Pin("snp.id_key_digests", "snp-id-key", SNP),
    Pin("snp.author_key_digests", "snp-author-key", SNP),
    Pin("instances.chip_ids", "snp-instance", SNP),
    Pin("tdx.minimum_report_version", "tdx-report-version", TDX),
    Pin("tdx.mrtds", "tdx-mrtd", TDX),
    *(Pin(f"tdx.rtmrs.{index}", f"tdx-rtmr-{index}", TDX) for index in RTMRS),
    Pin("tdx.mr_config_id", "tdx-mr-config-id", TDX),
    Pin("tdx.mr_owner", "tdx-mr-owner", TDX),
    Pin("tdx.mr_owner_config", "tdx-mr-owner-config", TDX),
    Pin("tdx.mr_seams", "tdx-mr-seam", TDX),
    Pin("tdx.service_tds", "tdx-service-td", TDX),
    Pin("tdx.fmspcs", "tdx-fmspc", TDX),
    Pin("tdx.minimum_tee_tcb_svn", "tdx-tee-tcb-svn", TDX),
    Pin("tdx.minimum_tee_tcb_svn2", "tdx-tee-tcb-svn2", TDX),
    Pin("instances.ppids", "tdx-platform-instance", TDX),
    Pin("azure.snp.id_key_digests", "azure-id-key", (RawPlatform.AZURE_SNP,)),
    Pin("azure.snp.min_guest_svn", "azure-guest-svn", (RawPlatform.AZURE_SNP,)),
    Pin("azure.tdx.mrtds", "azure-mrtd", (RawPlatform.AZURE_TDX,)),
    Pin("azure.tdx.mrseams", "azure-mrseam", (RawPlatform.AZURE_TDX,)),
    Pin("instances.azure_vm_ids", "azure-machine", AZURE),
    *(Pin(f"pcrs.{index}", f"pcr-{index}", TPM) for index in PCRS),
)
"""Every pin, in the order of a verdict."""


@dataclass(frozen=True)
class EvidencePolicy:
    """The whole document.

    platforms: where accepted evidence may come from.
    snp, tdx, azure: what the vendors' layers must be; None if no accepted platform needs the section.
    snp_pins, tdx_pins: the pins in the sections ``snp`` and ``tdx``.
    pcrs: registers of the TPM (SHA-256 bank) by index; those that are absent are not pinned.
    instances: accepted machines; an empty list accepts any.
    """

    platforms: tuple[RawPlatform, ...]
    snp: SnpPolicy | None = None
    tdx: TdxPolicy | None = None
    azure: AzurePolicy | None = None
    snp_pins: SnpPins = field(default_factory=SnpPins)
    tdx_pins: TdxPins = field(default_factory=TdxPins)
    pcrs: Mapping[int, bytes] = field(default_factory=dict)
    instances: Instances = field(default_factory=Instances)

    def __post_init__(self) -> None:
        """Rules between members. Raises PolicyError."""
        object.__setattr__(self, "pcrs", MappingProxyType(dict(self.pcrs)))
        if not self.platforms:
            raise PolicyError(f"{WHAT} names no platform, so it would accept no evidence.")
        azure = self.azure
        present = {
            "snp": self.snp is not None,
            "tdx": self.tdx is not None,
            "azure.snp": azure is not None and azure.snp is not None,
            "azure.tdx": azure is not None and azure.tdx is not None,
        }
        for section, platforms in _SECTIONS.items():
            needed = bool(set(platforms) & set(self.platforms))
            if present[section] != needed:
                named = " or ".join(platforms)
                raise PolicyError(
                    f"{WHAT} must have the section {section} exactly when it accepts {named}.",
                    hint=f"Add {section}." if needed else f"Remove {section}, or add {named} to platforms.",
                )
        if (self.snp is None and self.snp_pins != SnpPins()) or (self.tdx is None and self.tdx_pins != TdxPins()):
            raise PolicyError(f"{WHAT} has pins of a section that it does not have.")
        if not set(self.pcrs) <= set(PCRS):
            raise PolicyError(f"{WHAT} pins a register that does not exist.", hint="There are PCR 0 to 23.")
        if self.instances.gcp:
            raise PolicyError(f"{WHAT} names machines in instances.gcp, which raw evidence does not show.")
        for pin in self.pins:
            if not set(pin.platforms) & set(self.platforms):
                raise PolicyError(
                    f"{WHAT} pins {pin.member}, and accepts no platform whose evidence shows it.",
                    hint=f"Remove {pin.member}, or accept {' or '.join(pin.platforms)}.",
                )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON or YAML of at most 1 MiB. Raises FormatError or PolicyError, also for a policy for sessions."""
        return cls.from_value(document.read_kind(data, PolicyKind.EVIDENCE))

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From the document's value. Raises FormatError or PolicyError."""
        schema.validate(SCHEMA, value, what=WHAT)
        snp, tdx = value.get("snp"), value.get("tdx")
        return cls(
            platforms=tuple(RawPlatform(name) for name in value["platforms"]),
            snp=SnpPolicy.from_value(_without(snp, snp_pins.MEMBERS)) if snp is not None else None,
            tdx=TdxPolicy.from_value(_without(tdx, tdx_pins.MEMBERS)) if tdx is not None else None,
            azure=AzurePolicy.from_value(value["azure"]) if "azure" in value else None,
            snp_pins=SnpPins.from_value(snp or {}),
            tdx_pins=TdxPins.from_value(tdx or {}),
            pcrs={int(index): bytes.fromhex(digest) for index, digest in value.get("pcrs", {}).items()},
            instances=Instances.from_value(value.get("instances", {})),
        )

    def value(self) -> dict[str, Any]:
        """The JSON value, including members with default values; what is not pinned is omitted."""
        value: dict[str, Any] = {
            "version": 1,
            "kind": PolicyKind.EVIDENCE.value,
            "platforms": [platform.value for platform in self.platforms],
        }
        if self.snp is not None:
            value["snp"] = _pinned(self.snp.value(), "id_key_digests", "author_key_digests") | self.snp_pins.value()
        if self.tdx is not None:
            value["tdx"] = _pinned(self.tdx.value(), "mr_seams", "service_tds") | self.tdx_pins.value()
        if self.azure is not None:
            value["azure"] = self.azure.value()
        if self.pcrs:
            value["pcrs"] = {str(index): digest.hex() for index, digest in sorted(self.pcrs.items())}
        if instances := {name: listed for name, listed in self.instances.value().items() if listed}:
            value["instances"] = instances
        return value

    @functools.cached_property
    def pins(self) -> tuple[Pin, ...]:
        """The pins that the policy has, those with default values included."""
        value = self.value()
        return tuple(pin for pin in PINS if _has(value, pin.member))

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self.value())

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes. It identifies the policy in a verdict."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.encode()).digest()


def _without(section: Mapping[str, Any], members: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name not in members}


def _pinned(section: dict[str, Any], *lists: str) -> dict[str, Any]:
    """``section`` without those of ``lists`` that are empty, which pin nothing."""
    return {name: value for name, value in section.items() if name not in lists or value}


def _has(value: Mapping[str, Any], member: str) -> bool:
    """Whether the JSON value has the member, a path with dots."""
    found: Any = value
    for name in member.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True
