"""What a machine booted from the image will measure, as far as it follows from the image alone.

Each value comes with the events that lead to it, so that a reader can follow it with nothing but SHA-256: a register
starts as 32 zero bytes and becomes SHA-256(register + digest) for each event (TPM 2.0 Library, Part 1, section 17.4).
These hold with Secure Boot off, when the firmware starts the disk's own boot file.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from image.formats import cpio, pe, uki


@dataclass(frozen=True)
class MeasuredEvent:
    """What is measured, in words, and its SHA-256."""

    event: str
    digest: bytes


@dataclass(frozen=True)
class Register:
    """A PCR of the sha256 bank: its final value and how it comes about."""

    value: bytes
    events: tuple[MeasuredEvent, ...]


def replay(events: Sequence[MeasuredEvent]) -> Register:
    """The register after ``events``."""
    value = bytes(32)
    for event in events:
        value = hashlib.sha256(value + event.digest).digest()
    return Register(value, tuple(events))


def predict(image: bytes) -> dict[int, Register]:
    """PCR index -> register, for the UKI ``image``."""
    return {
        4: replay(_programs(image)),
        9: replay(_kernel_inputs(image)),
        11: replay(_stub_sections(image)),
        # systemd-stub measures here what the host adds to the command line, credentials and extensions: nothing.
        12: replay([]),
        13: replay([]),
    }


def _programs(image: bytes) -> list[MeasuredEvent]:
    """PCR 4: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.5; the stub starts the kernel by LoadImage."""
    kernel = pe.sections(image)[".linux"]
    return [
        _event("EV_EFI_ACTION: Calling EFI Application from Boot Option", b"Calling EFI Application from Boot Option"),
        _event("EV_SEPARATOR: 00000000", bytes(4)),
        MeasuredEvent("EV_EFI_BOOT_SERVICES_APPLICATION: the UKI's Authenticode digest", pe.authenticode(image)),
        MeasuredEvent("EV_EFI_BOOT_SERVICES_APPLICATION: the kernel's Authenticode digest", pe.authenticode(kernel)),
    ]


def _kernel_inputs(image: bytes) -> list[MeasuredEvent]:
    """PCR 9: Linux's EFI stub measures its load options and its initrd (drivers/firmware/efi/libstub)."""
    contents = pe.sections(image)
    options = contents[".cmdline"].decode("ascii").encode("utf-16-le") + bytes(2)
    return [
        _event("EV_EVENT_TAG: the command line as UTF-16 with its end", options),
        _event("EV_EVENT_TAG: the initrd, and os-release as systemd-stub appends it", handed_over_initrd(contents)),
    ]


def handed_over_initrd(contents: dict[str, bytes]) -> bytes:
    """What systemd-stub 257 gives the kernel: .initrd, then a cpio archive of its own with .osrel in it."""
    records = [
        cpio.record(1, cpio.directory(".extra", 0o555)),
        cpio.record(2, cpio.regular(".extra/os-release", contents[".osrel"], 0o444)),
        # The stub's trailer is a constant of its own: upper-case length, one link (src/boot/cpio.c).
        b"070701" + b"00000000" * 4 + b"00000001" + b"00000000" * 6 + b"0000000B" + b"00000000" + b"TRAILER!!!\0\0\0\0",
    ]
    return cpio.pad(contents[".initrd"]) + b"".join(records)


def _stub_sections(image: bytes) -> list[MeasuredEvent]:
    """PCR 11: systemd-stub measures name and contents of each section that is there, in an order of its own."""
    contents = pe.sections(image)
    events: list[MeasuredEvent] = []
    for name in uki.MEASURED_SECTIONS:
        if name in contents:
            events.append(_event(f"EV_IPL: the name {name} with its end", name.encode() + b"\0"))
            events.append(_event(f"EV_IPL: the contents of {name}", contents[name]))
    return events


def _event(text: str, measured: bytes) -> MeasuredEvent:
    return MeasuredEvent(text, hashlib.sha256(measured).digest())
