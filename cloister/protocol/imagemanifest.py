"""The manifest of a guest image: its inputs, its outputs, and what a CVM that boots it measures."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from cloister.protocol import canonical, schema

MAX_SIZE = 1024 * 1024


@dataclass(frozen=True)
class ImageEvent:
    """What is measured, and its digest (hex) in a TPM's bank (SHA-256) and in a TD's registers (SHA-384)."""

    event: str
    sha256: str
    sha384: str


@dataclass(frozen=True)
class ImageOutput:
    """A file of the image: SHA-256 (hex) and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class ImageManifest:
    """``inputs`` name -> SHA-256 (hex); ``pcrs`` index -> value (hex) in the sha256 bank.

    ``packages`` are the Python packages that algorithms find in the image: normalised name -> version. ``events`` are
    the events that lead to a register's value, by its index; they explain a difference and decide nothing.
    """

    flavor: str
    debug: bool
    inputs: Mapping[str, str]
    outputs: Mapping[str, ImageOutput]
    pcrs: Mapping[int, str]
    packages: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[int, tuple[ImageEvent, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From JSON of at most 1 MiB. Raises FormatError, also for events that do not lead to a register's value."""
        what = "The image manifest"
        value = canonical.parse(data, what=what, limit=MAX_SIZE)
        schema.validate("image/image-manifest", value, what=what)
        measured = value["measurements"]
        events = {
            int(index): tuple(ImageEvent(**event) for event in listed)
            for index, listed in measured.get("events", {}).items()
        }
        for index, listed in events.items():
            if measured["pcrs"].get(str(index)) != replayed(listed):
                raise canonical.FormatError(f"{what}: the events of PCR {index} do not lead to its value.")
        return cls(
            flavor=value["flavor"],
            debug=value["debug"],
            inputs=dict(value["inputs"]),
            outputs={
                name: ImageOutput(sha256=out["sha256"], size=out["size"]) for name, out in value["outputs"].items()
            },
            pcrs={int(index): digest for index, digest in measured["pcrs"].items()},
            packages=dict(value["packages"]),
            events=events,
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
                "measurements": {
                    "pcrs": {str(index): digest for index, digest in self.pcrs.items()},
                    **({"events": self._event_values()} if self.events else {}),
                },
            }
        )

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes: the name of the image."""
        return hashlib.sha256(self.encode()).digest()

    def _event_values(self) -> dict[str, list[dict[str, str]]]:
        return {
            str(index): [{"event": one.event, "sha256": one.sha256, "sha384": one.sha384} for one in listed]
            for index, listed in self.events.items()
        }


def replayed(events: Sequence[ImageEvent]) -> str:
    """The register after ``events``, in the sha256 bank (TPM 2.0 Library, part 1, section 17.4)."""
    value = bytes(32)
    for event in events:
        value = hashlib.sha256(value + bytes.fromhex(event.sha256)).digest()
    return value.hex()
