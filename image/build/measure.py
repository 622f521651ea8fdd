"""Predict what a CVM booted from an image will measure, as far as the image alone decides it.

A prediction is the events of a register, so that its value can be recomputed with SHA-256 alone
(`cloister.protocol.imagemanifest.replayed`).
The values hold with Secure Boot off, when the firmware starts the disk's default boot file.
"""

from pathlib import Path

from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageEvent
from image.errors import ImageError
from image.formats import cpio, pe, uki


def predict(image: bytes) -> dict[int, tuple[ImageEvent, ...]]:
    """PCR index -> its events, for the UKI ``image``. Raises ImageError, and KeyError naming a missing section."""
    return {
        4: tuple(_programs(image)),
        9: tuple(_kernel_inputs(image)),
        11: tuple(_stub_sections(image)),
        # systemd-stub measures additions to the command line, credentials and extensions here; nothing is added.
        12: (),
        13: (),
    }


def predict_file(path: Path) -> dict[int, tuple[ImageEvent, ...]]:
    """``predict`` for the UKI in the file ``path``. Raises InputError if it is missing or not a UKI of Cloister."""
    if not path.is_file():
        raise InputError(
            f"The kernel image {path} does not exist.",
            hint="Build the image with `invoke image.build` and the same --flavor or --recipe.",
        )
    try:
        return predict(path.read_bytes())
    except KeyError as error:
        raise InputError(f"{path} is not a kernel image of Cloister: the section {error} is missing.") from error
    except (ImageError, UnicodeError) as error:
        raise InputError(f"{path} is not a kernel image of Cloister: {error}") from error


def _programs(image: bytes) -> list[ImageEvent]:
    """PCR 4: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.5; the stub starts the kernel by LoadImage."""
    kernel = pe.sections(image)[".linux"]
    return [
        ImageEvent.of(
            "EV_EFI_ACTION: Calling EFI Application from Boot Option", b"Calling EFI Application from Boot Option"
        ),
        ImageEvent.of("EV_SEPARATOR: 00000000", bytes(4)),
        _program("EV_EFI_BOOT_SERVICES_APPLICATION: the UKI's Authenticode digest", image),
        _program("EV_EFI_BOOT_SERVICES_APPLICATION: the kernel's Authenticode digest", kernel),
    ]


def _kernel_inputs(image: bytes) -> list[ImageEvent]:
    """PCR 9: Linux's EFI stub measures its load options and its initrd (drivers/firmware/efi/libstub)."""
    contents = pe.sections(image)
    options = contents[".cmdline"].decode("ascii").encode("utf-16-le") + bytes(2)
    return [
        ImageEvent.of("EV_EVENT_TAG: the command line as UTF-16 with its end", options),
        ImageEvent.of(
            "EV_EVENT_TAG: the initrd, and os-release as systemd-stub appends it", handed_over_initrd(contents)
        ),
    ]


def handed_over_initrd(contents: dict[str, bytes]) -> bytes:
    """The initrd that systemd-stub 257 passes to the kernel: .initrd, then a cpio archive with .osrel."""
    records = [
        cpio.record(1, cpio.directory(".extra", 0o555)),
        cpio.record(2, cpio.regular(".extra/os-release", contents[".osrel"], 0o444)),
        # The stub's trailer is a constant with an upper-case length and one link (src/boot/cpio.c).
        b"070701" + b"00000000" * 4 + b"00000001" + b"00000000" * 6 + b"0000000B" + b"00000000" + b"TRAILER!!!\0\0\0\0",
    ]
    return cpio.pad(contents[".initrd"]) + b"".join(records)


def _stub_sections(image: bytes) -> list[ImageEvent]:
    """PCR 11: systemd-stub measures name and contents of each section, in the order of ``MEASURED_SECTIONS``."""
    contents = pe.sections(image)
    events: list[ImageEvent] = []
    for name in uki.MEASURED_SECTIONS:
        if name in contents:
            events.append(ImageEvent.of(f"EV_IPL: the name {name} with its end", name.encode() + b"\0"))
            events.append(ImageEvent.of(f"EV_IPL: the contents of {name}", contents[name]))
    return events


def _program(text: str, image: bytes) -> ImageEvent:
    return ImageEvent(text, pe.authenticode(image).hex(), pe.authenticode(image, "sha384").hex())
