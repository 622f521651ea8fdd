"""The boot configuration, which a CVM gets at start and measures."""

import hashlib
from dataclasses import dataclass
from typing import Self

from cloister.protocol import canonical, schema

MAX_SIZE = 64 * 1024
"""Bytes. fw_cfg is read byte by byte: a larger one would take seconds."""

FW_CFG_NAME = "opt/org.cloister/boot-configuration"


@dataclass(frozen=True)
class BootConfiguration:
    """The names of the workspace and the CVM, the owners, and the scratch disk.

    ``owners`` are SHA-256 digests (lower-case hex) of the owners' SubjectPublicKeyInfo, sorted and
    unique: only they may submit a manifest, stop and reset. ``scratch`` is the size of the scratch disk in bytes, 0
    without one.
    """

    workspace: str
    cvm: str
    owners: tuple[str, ...]
    scratch: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From canonical JSON of at most 64 KiB. Raises FormatError."""
        what = "The boot configuration"
        value = canonical.parse_canonical(data, what=what, limit=MAX_SIZE)
        schema.validate("boot-configuration", value, what=what)
        owners = tuple(value["owners"])
        if list(owners) != sorted(set(owners)):
            raise canonical.FormatError(f"{what}: owners must be sorted and unique.")
        scratch = value.get("scratch", 0)
        return cls(workspace=value["workspace"], cvm=value["cvm"], owners=owners, scratch=scratch)

    def encode(self) -> bytes:
        """Canonical JSON: these bytes are measured."""
        value = {"version": 1, "workspace": self.workspace, "cvm": self.cvm, "owners": sorted(set(self.owners))}
        return canonical.encode(value | ({"scratch": self.scratch} if self.scratch else {}))

    def digest(self) -> bytes:
        """SHA-256 of the encoded form, 32 bytes."""
        return hashlib.sha256(self.encode()).digest()
