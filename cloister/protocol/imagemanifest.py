"""The manifest of a guest image: its inputs, its outputs, and what a CVM that boots it measures."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cloister.protocol import canonical, schema

MAX_SIZE = 1024 * 1024


@dataclass(frozen=True)
class ImageOutput:
    """A file of the image: SHA-256 (hex) and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class ImageManifest:
    """``inputs`` name -> SHA-256 (hex); ``pcrs`` index -> value (hex) in the sha256 bank.

    ``packages`` are the Python packages that algorithms find in the image: normalised name -> version.
    """

    flavor: str
    debug: bool
    inputs: Mapping[str, str]
    outputs: Mapping[str, ImageOutput]
    pcrs: Mapping[int, str]
    packages: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON of at most 1 MiB. Raises FormatError."""
        what = "The image manifest"
        value = canonical.parse(data, what=what, limit=MAX_SIZE)
        schema.validate("image-manifest", value, what=what)
        return cls(
            flavor=value["flavor"],
            debug=value["debug"],
            inputs=dict(value["inputs"]),
            outputs={
                name: ImageOutput(sha256=out["sha256"], size=out["size"]) for name, out in value["outputs"].items()
            },
            pcrs={int(index): digest for index, digest in value["measurements"]["pcrs"].items()},
            packages=dict(value["packages"]),
        )

    def encode(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(
            {
                "version": 1,
                "flavor": self.flavor,
                "debug": self.debug,
                "packages": dict(self.packages),
                "inputs": dict(self.inputs),
                "outputs": {name: {"sha256": out.sha256, "size": out.size} for name, out in self.outputs.items()},
                "measurements": {"pcrs": {str(index): digest for index, digest in self.pcrs.items()}},
            }
        )

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes: the name of the image."""
        return hashlib.sha256(self.encode()).digest()
