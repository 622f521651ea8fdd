"""Statements about signed images, for tests that boot none."""

from collections.abc import Mapping

from cloister.protocol.imagemanifest import ImageEvent, ImageManifest, ImageOutput, replayed
from cloister.protocol.signedimage import PROGRAMS, SECURE_BOOT, SignedImage, programs
from tests.image.secureboot.test_enrolment import EFITOOLS

NAMES = ("PK", "KEK", "db")


def event(text: str) -> ImageEvent:
    return ImageEvent.of(text, text.encode())


def statement(image: ImageManifest, outputs: Mapping[str, ImageOutput] | None = None) -> SignedImage:
    """A statement about ``image``, by default with as many outputs as a registry looks for."""
    events = {
        PROGRAMS: programs(image.events.get(PROGRAMS, ())),
        SECURE_BOOT: (event("EV_EFI_VARIABLE_DRIVER_CONFIG: SecureBoot"),),
    }
    names = ("uki.signed.efi", "disk.raw", "disk.vhd", "disk.tar.gz")
    return SignedImage(
        manifest=image.digest().hex(),
        certificates={name: (EFITOOLS / f"{name}.der").read_bytes() for name in NAMES},
        outputs=outputs or {name: ImageOutput("22" * 32, 1 << 20) for name in names},
        pcrs={index: replayed(listed) for index, listed in events.items()},
        events=events,
    )
