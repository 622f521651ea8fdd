"""The roots that vouch for a machine's identity, each pinned by the SHA-256 of its public key.

A pin decides, not a certificate: those of AMD's authorities that come with the package (``collateral/issuers.py``) are
collateral like any other, and one that does not lead to a pin has no effect.

The platform ``local`` has no vendor: its anchor is the certificate authority of the workspace, whose pin comes from the
party's own policy. An anchor belongs to one vendor and is never used for another.
"""

from collections.abc import Iterable
from dataclasses import dataclass

WORKSPACE_CA = "workspace-ca"
"""The identity root of ``local``: the platform team's certificate authority. It says nothing about hardware."""
AMD = "amd"
"""AMD, for SEV-SNP; one root key for each product line."""

INTEL = "intel"
"""Intel, for TDX."""

MICROSOFT_PARAVISOR = "microsoft-paravisor"
"""Azure: AMD or Intel vouch for the processor, Microsoft's paravisor in the machine for everything above."""

GOOGLE_VTPM = "google-vtpm"
"""SEV-SNP at Google: AMD vouches for the processor; the TPM that measures the image belongs to Google's hypervisor."""

AZURE_VTPM = "azure-vtpm"
"""Microsoft's certificates of attestation keys. No check relies on them; a verdict mentions them as a claim."""

NO_ROOT = "none"
"""What a verdict names if no signature leads from a root to the evidence."""

SIMULATED = "simulated"
"""What a verdict names as the identity root when the caller passed an anchor that is not a vendor's."""


@dataclass(frozen=True)
class Anchor:
    """A pinned key: the identity root that it stands for and the SHA-256 of its SubjectPublicKeyInfo (32 bytes).

    ``name`` is the subject of its certificate, ``page`` where the vendor publishes that. A ``simulated`` anchor
    replaces a vendor's in trials; a verdict that relies on it says so.
    """

    identity_root: str
    spki_sha256: bytes
    name: str = ""
    page: str = ""
    simulated: bool = False

    @property
    def verdict_root(self) -> str:
        """The identity root that a verdict names."""
        return SIMULATED if self.simulated else self.identity_root


def named_root(anchors: Iterable[Anchor], identity_root: str) -> str:
    """The identity root that a verdict names: ``identity_root``, unless one of ``anchors`` is simulated."""
    return SIMULATED if any(anchor.simulated for anchor in anchors) else identity_root


# The key service publishes each line's chain, signing key and root, at the page; the VLEK's chain has the same root.
_AMD = (
    Anchor(
        AMD,
        bytes.fromhex("9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"),
        "ARK-Milan",
        "https://kdsintf.amd.com/vcek/v1/Milan/cert_chain",
    ),
    Anchor(
        AMD,
        bytes.fromhex("429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"),
        "ARK-Genoa",
        "https://kdsintf.amd.com/vcek/v1/Genoa/cert_chain",
    ),
    Anchor(
        AMD,
        bytes.fromhex("4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"),
        "ARK-Turin",
        "https://kdsintf.amd.com/vcek/v1/Turin/cert_chain",
    ),
)

_INTEL = (
    Anchor(
        INTEL,
        bytes.fromhex("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"),
        "Intel SGX Root CA",
        "https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.pem",
    ),
)

_GOOGLE = (
    Anchor(
        GOOGLE_VTPM,
        bytes.fromhex("56a613f57126a385dd6949294e93b0b566f96ab0573be0c2368e6f5ca779831f"),
        "EK/AK CA Root",
        "https://cloud.google.com/compute/shielded-vm/docs/retrieving-endorsement-key",
    ),
)

_MICROSOFT = (
    Anchor(
        AZURE_VTPM,
        bytes.fromhex("5cbc52672ae101263c2976736044a964c1182ce9412c39937183baddcccb8cdf"),
        "Azure Virtual TPM Root Certificate Authority 2023",
        "https://learn.microsoft.com/en-us/azure/virtual-machines/trusted-launch-faq",
    ),
)

VENDORS: tuple[Anchor, ...] = (*_AMD, *_INTEL, *_GOOGLE, *_MICROSOFT)
"""The vendors' roots: what a verifier trusts unless the caller passes other anchors."""
