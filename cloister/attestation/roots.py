"""Who vouches for a machine's identity. A root is pinned by the SHA-256 of its public key, never shipped.

The platform ``local`` has no vendor: its anchor is the certificate authority of the workspace, whose pin comes from the
party's own policy. An anchor belongs to one vendor: there is no union of anchors.
"""

from dataclasses import dataclass

WORKSPACE_CA = "workspace-ca"
"""The identity root of ``local``: whoever set up the workspace. It says nothing about hardware."""


INTEL = "intel"
"""Intel, for TDX."""

SIMULATED = "simulated"
"""What a verdict names as identity root when the caller handed in an anchor that is no vendor's."""


@dataclass(frozen=True)
class Anchor:
    """A pinned key: the identity root that it stands for and the SHA-256 of its SubjectPublicKeyInfo (32 bytes).

    ``name`` is the certificate's, ``page`` where the vendor publishes it. A ``simulated`` anchor stands in for a vendor
    in trials; a verdict that rests on it says so.
    """

    identity_root: str
    spki_sha256: bytes
    name: str = ""
    page: str = ""
    simulated: bool = False

    @property
    def vouches(self) -> str:
        """The identity root that a verdict names."""
        return SIMULATED if self.simulated else self.identity_root


_INTEL = (
    Anchor(
        INTEL,
        bytes.fromhex("a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"),
        "Intel SGX Root CA",
        "https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.pem",
    ),
)

VENDORS: tuple[Anchor, ...] = (*_INTEL,)
"""The vendors' roots: what a verifier trusts unless the caller hands in other anchors."""
