"""The policy: what a party demands of a machine before it trusts it. The party writes it, not the platform team.

For raw evidence there is another type, in ``evidence_policy.py``.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from cloister.attestation.azure.policy import AzurePolicy
from cloister.attestation.errors import MalformedEvidence, PolicyError
from cloister.attestation.evidence import Platform
from cloister.attestation.gcp.policy import GcpPolicy
from cloister.attestation.instances import Instances
from cloister.attestation.policy import document, images
from cloister.attestation.policy.document import WHAT, PolicyKind
from cloister.attestation.policy.images import ImageReference
from cloister.attestation.policy.statements import BuildersPolicy, PublisherPolicy
from cloister.attestation.snp.policy import SnpPolicy
from cloister.attestation.tdx.policy import TdxPolicy
from cloister.attestation.x509.certificate import Certificate
from cloister.protocol import canonical, schema

SNP_PLATFORMS = (Platform.SEV_SNP, Platform.AZURE_SNP, Platform.GCP_SNP)
"""The platforms with a SEV-SNP report: a policy that accepts one needs the section ``snp``."""

TDX_PLATFORMS = (Platform.TDX, Platform.AZURE_TDX, Platform.GCP_TDX)
"""The platforms with a TDX quote: a policy that accepts one needs the section ``tdx``."""

VTPM_PLATFORMS = (Platform.LOCAL, Platform.AZURE_SNP, Platform.AZURE_TDX, Platform.GCP_SNP)
"""The platforms whose evidence has the registers of a vTPM."""

_NAMED_ON = {
    "chip_ids": SNP_PLATFORMS,
    "ppids": TDX_PLATFORMS,
    "azure_vm_ids": (Platform.AZURE_SNP, Platform.AZURE_TDX),
    "gcp": (Platform.GCP_SNP,),
}
"""The lists of the section ``instances``, with the platforms that they apply to."""


@dataclass(frozen=True)
class ConfigurationPolicy:
    """The accepted boot configurations: the workspace, one of ``cvms``, and exactly these owners.

    ``owners`` are SHA-256 digests (hex) of SubjectPublicKeyInfo, sorted.
    """

    workspace: str
    cvms: tuple[str, ...]
    owners: tuple[str, ...]


@dataclass(frozen=True)
class LocalPolicy:
    """For the platform ``local``: the workspace's CA, by the SHA-256 of its SubjectPublicKeyInfo.

    ``certificate`` is that CA's certificate (DER), for convenience: it is used only if its key has that digest. None if
    the policy has none.
    """

    authority_spki_sha256: bytes
    certificate: bytes | None


@dataclass(frozen=True)
class Policy:
    """The whole document.

    platforms: accepted platforms.
    images: accepted images.
    boot_configuration: accepted boot configurations.
    allow_local: accept ``local`` machines, which keep nothing secret from their host; then no other platform.
    allow_debug: accept debug images.
    secure_boot: require Secure Boot, by a pin of PCR 7.
    platform_pcrs: pinned registers of the platform (SHA-256) by index. Registers without a pin are not checked, except
        PCR 2, which must then have the value of a boot without drivers.
    local, snp, tdx, azure, gcp: what each platform must be; None if no accepted platform needs the section.
    instances: accepted machines; None accepts any.
    builders, publisher: who must have stated something about the image; None demands nothing.
    """

    platforms: tuple[Platform, ...]
    images: tuple[ImageReference, ...]
    boot_configuration: ConfigurationPolicy
    allow_local: bool = False
    allow_debug: bool = False
    secure_boot: bool = False
    platform_pcrs: Mapping[int, bytes] = field(default_factory=dict)
    local: LocalPolicy | None = None
    snp: SnpPolicy | None = None
    tdx: TdxPolicy | None = None
    azure: AzurePolicy | None = None
    gcp: GcpPolicy | None = None
    instances: Instances | None = None
    builders: BuildersPolicy | None = None
    publisher: PublisherPolicy | None = None

    def __post_init__(self) -> None:
        """Rules between members. Raises PolicyError."""
        object.__setattr__(self, "platform_pcrs", MappingProxyType(dict(self.platform_pcrs)))
        if self.allow_local and self.platforms != (Platform.LOCAL,):
            others = ", ".join(p for p in self.platforms if p is not Platform.LOCAL) or "none"
            raise PolicyError(
                f"{WHAT} sets allow_local and accepts other platforms ({others}); "
                "a machine without confidentiality and one with it cannot share a policy.",
                hint="Write one policy for local machines and another for the rest.",
            )
        if not self.allow_local and Platform.LOCAL in self.platforms:
            raise PolicyError(
                f"{WHAT} accepts the platform local without allow_local: true.",
                hint="A local machine keeps nothing secret from its host; set allow_local only for trials.",
            )
        if self.allow_local != (self.local is not None):
            raise PolicyError(
                f"{WHAT} must have the section local with the workspace's CA exactly when allow_local is true.",
                hint="Write it again with `policy --image MANIFEST --workspace DESCRIPTOR --allow-local`.",
            )
        self._require_cloud_sections()
        self._require_judged()
        if not self.images:
            raise PolicyError(f"{WHAT} names no image, so it would accept no machine.")
        self._require_snp_sections()
        self._require_tdx_sections()
        images.check(self.images)
        if self.secure_boot and 7 not in self.platform_pcrs:
            raise PolicyError(
                f"{WHAT} requires Secure Boot and pins no PCR 7.", hint="Add platform_pcrs: {'7': VALUE} to it."
            )

    def _require_cloud_sections(self) -> None:
        """Every accepted platform has its section, and there are no other sections."""
        azure, gcp = self.azure, self.gcp
        wanted = {
            Platform.AZURE_SNP: ("azure.snp", azure is not None and azure.snp is not None),
            Platform.AZURE_TDX: ("azure.tdx", azure is not None and azure.tdx is not None),
            Platform.GCP_SNP: ("gcp.snp_min_svn", gcp is not None and gcp.snp_min_svn is not None),
            Platform.GCP_TDX: ("gcp.tdx_min_svn", gcp is not None and gcp.tdx_min_svn is not None),
        }
        for platform, (section, present) in wanted.items():
            if present != (platform in self.platforms):
                raise PolicyError(
                    f"{WHAT} must have {section} exactly when it accepts the platform {platform}.",
                    hint=f"Add {section}, or remove {platform} from platforms."
                    if not present
                    else f"Remove {section}, or add {platform} to platforms.",
                )

    def _require_judged(self) -> None:
        """Every demand can be checked on every accepted platform: none is ignored for lack of evidence."""
        without_pcrs = [platform for platform in self.platforms if platform not in VTPM_PLATFORMS]
        if without_pcrs and (self.secure_boot or self.platform_pcrs):
            raise PolicyError(
                f"{WHAT} pins PCRs (secure_boot or platform_pcrs) "
                f"and accepts {', '.join(without_pcrs)}, whose evidence has no PCRs.",
                hint="Write a separate policy for them. With TDX, pin RTMR 0 of the image instead of Secure Boot.",
            )
        for name, platforms in _NAMED_ON.items():
            if getattr(self.instances, name, ()) and not set(platforms) & set(self.platforms):
                raise PolicyError(
                    f"{WHAT} names machines in instances.{name}, but accepts no platform with such names.",
                    hint=f"Remove the list, or accept one of {', '.join(platforms)}.",
                )

    def _require_snp_sections(self) -> None:
        """There is a section ``snp`` exactly if an accepted platform needs it."""
        needs = [platform for platform in self.platforms if platform in SNP_PLATFORMS]
        if bool(needs) != (self.snp is not None):
            raise PolicyError(
                f"{WHAT} must have the section snp exactly when it accepts one of {', '.join(SNP_PLATFORMS)}.",
                hint="Its minimum_tcb says which firmware is new enough; AMD's security bulletins have the versions.",
            )

    def _require_tdx_sections(self) -> None:
        """There is a section ``tdx`` exactly if an accepted platform needs it."""
        needs = [platform for platform in self.platforms if platform in TDX_PLATFORMS]
        if bool(needs) != (self.tdx is not None):
            raise PolicyError(
                f"{WHAT} must have the section tdx exactly when it accepts one of {', '.join(TDX_PLATFORMS)}.",
                hint="An empty section, tdx: {}, has the strict value of every member.",
            )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON or YAML of at most 1 MiB. Raises FormatError or PolicyError, also for one for raw evidence."""
        return cls.from_value(document.read_kind(data, PolicyKind.SESSION))

    @classmethod
    def from_value(cls, value: Any) -> Self:
        """From the document's value. Raises FormatError or PolicyError."""
        schema.validate("policy", value, what=WHAT)
        local = value.get("local")
        expected = value["boot_configuration"]
        return cls(
            platforms=tuple(Platform(name) for name in value["platforms"]),
            images=tuple(ImageReference.from_value(image) for image in value["images"]),
            boot_configuration=ConfigurationPolicy(
                workspace=expected["workspace"],
                cvms=tuple(expected["cvms"]),
                owners=tuple(sorted(set(expected["owners"]))),
            ),
            allow_local=value.get("allow_local", False),
            allow_debug=value.get("allow_debug", False),
            secure_boot=value.get("secure_boot", False),
            platform_pcrs={int(index): bytes.fromhex(d) for index, d in value.get("platform_pcrs", {}).items()},
            local=_read_local(local) if local else None,
            snp=SnpPolicy.from_value(value["snp"]) if "snp" in value else None,
            tdx=TdxPolicy.from_value(value["tdx"]) if "tdx" in value else None,
            azure=AzurePolicy.from_value(value["azure"]) if "azure" in value else None,
            gcp=GcpPolicy.from_value(value["gcp"]) if "gcp" in value else None,
            instances=Instances.from_value(value["instances"]) if "instances" in value else None,
            builders=BuildersPolicy.from_value(value["builders"]) if "builders" in value else None,
            publisher=PublisherPolicy.from_value(value["publisher"]) if "publisher" in value else None,
        )

    def value(self) -> dict[str, Any]:
        """The JSON value, including members with default values."""
        value: dict[str, Any] = {
            "version": 1,
            "platforms": [platform.value for platform in self.platforms],
            "allow_local": self.allow_local,
            "allow_debug": self.allow_debug,
            "secure_boot": self.secure_boot,
            "images": [image.value() for image in self.images],
            "platform_pcrs": {str(index): digest.hex() for index, digest in sorted(self.platform_pcrs.items())},
            "boot_configuration": {
                "workspace": self.boot_configuration.workspace,
                "cvms": list(self.boot_configuration.cvms),
                "owners": list(self.boot_configuration.owners),
            },
        }
        if self.local is not None:
            value["local"] = {"authority_spki_sha256": self.local.authority_spki_sha256.hex()}
            if self.local.certificate is not None:
                value["local"]["authority_certificate"] = canonical.to_base64(self.local.certificate)
        for name, section in (
            ("snp", self.snp),
            ("tdx", self.tdx),
            ("azure", self.azure),
            ("gcp", self.gcp),
            ("instances", self.instances),
            ("builders", self.builders),
            ("publisher", self.publisher),
        ):
            if section is not None:
                value[name] = section.value()
        return value

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(self.value())

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes. It identifies the policy in a verdict."""
        return self._digest

    @functools.cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.encode()).digest()  # once: nothing in a policy can be changed


def _read_local(value: dict[str, Any]) -> LocalPolicy:
    text, what = value.get("authority_certificate"), f"{WHAT}'s member local.authority_certificate"
    certificate = canonical.from_base64(text, what=what) if text else None
    if certificate is not None:
        try:
            Certificate.parse(certificate)
        except MalformedEvidence as error:  # or a machine's evidence would be blamed for it
            raise PolicyError(
                f"{what} is not a certificate that can be read.", hint="Omit it: the pin is enough."
            ) from error
    return LocalPolicy(bytes.fromhex(value["authority_spki_sha256"]), certificate)
