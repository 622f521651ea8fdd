"""Who vouches for a machine's identity. A root is pinned by the SHA-256 of its public key, never shipped.

The platform ``local`` has no vendor: its anchor is the certificate authority of the workspace, whose pin comes from the
party's own policy. An anchor belongs to one platform; a verifier is handed exactly one.
"""

from dataclasses import dataclass

WORKSPACE_CA = "workspace-ca"
"""The identity root of ``local``: whoever set up the workspace. It says nothing about hardware."""


@dataclass(frozen=True)
class Anchor:
    """A pinned key: the identity root that it stands for and the SHA-256 of its SubjectPublicKeyInfo (32 bytes)."""

    identity_root: str
    spki_sha256: bytes
