"""The manifest of a guest image: its inputs, its outputs, and what a CVM that boots it measures."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from cloister.protocol import canonical, schema

MAX_SIZE = 1024 * 1024

KERNEL_IMAGE = "uki.efi"
"""The output that firmware starts: stub, kernel, command line and initrd as one EFI program (UKI)."""


@dataclass(frozen=True)
class ImageEvent:
    """What is measured, and its digest (hex) in a TPM's bank (SHA-256) and in a TD's registers (SHA-384)."""

    event: str
    sha256: str
    sha384: str

    @classmethod
    def of(cls, text: str, measured: bytes) -> Self:
        """The event of bytes that are measured as they are."""
        return cls(text, hashlib.sha256(measured).hexdigest(), hashlib.sha384(measured).hexdigest())


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
        return cls(
            flavor=value["flavor"],
            debug=value["debug"],
            inputs=dict(value["inputs"]),
            outputs={
                name: ImageOutput(sha256=out["sha256"], size=out["size"]) for name, out in value["outputs"].items()
            },
            pcrs={int(index): digest for index, digest in measured["pcrs"].items()},
            packages=dict(value["packages"]),
            events=parse_events(measured, what),
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
                    **({"events": event_values(self.events)} if self.events else {}),
                },
            }
        )

    def digest(self) -> bytes:
        """SHA-256 of the canonical form, 32 bytes: the name of the image."""
        return hashlib.sha256(self.encode()).digest()


def parse_events(measured: Mapping[str, Any], what: str) -> dict[int, tuple[ImageEvent, ...]]:
    """The events by register from a document's ``measurements``. Raises FormatError if they lead to other values."""
    events = {
        int(index): tuple(ImageEvent(**event) for event in listed)
        for index, listed in measured.get("events", {}).items()
    }
    for index, listed in events.items():
        if measured["pcrs"].get(str(index)) != replayed(listed):
            raise canonical.FormatError(f"{what}: the events of PCR {index} do not lead to its value.")
    return events


def event_values(events: Mapping[int, Sequence[ImageEvent]]) -> dict[str, list[dict[str, str]]]:
    """The events as a document's ``measurements`` hold them."""
    return {
        str(index): [{"event": one.event, "sha256": one.sha256, "sha384": one.sha384} for one in listed]
        for index, listed in events.items()
    }


def replayed(events: Iterable[ImageEvent]) -> str:
    """The PCR after ``events`` (hex), in the sha256 bank (TPM 2.0 Library, part 1, section 17.4)."""
    return _extended("sha256", (event.sha256 for event in events))


def replayed_rtmr(events: Iterable[ImageEvent]) -> str:
    """A TD's register after ``events`` (hex), which is extended with SHA-384."""
    return _extended("sha384", (event.sha384 for event in events))


def _extended(algorithm: str, digests: Iterable[str]) -> str:
    """A register starts as zero bytes and becomes the digest of register and event for each event."""
    value = bytes(hashlib.new(algorithm).digest_size)
    for digest in digests:
        value = hashlib.new(algorithm, value + bytes.fromhex(digest)).digest()
    return value.hex()
