"""Predict the registers that Secure Boot decides: PCR 7, and PCR 4 of a signed image.

TCG PC Client Platform Firmware Profile 1.06, section 3.3.4.8 (PCR 7) and 10.2.6 (UEFI_VARIABLE_DATA). EDK II's
DxeTpm2MeasureBootLib and Tcg2Dxe measure these variables in this order.
"""

import struct
from pathlib import Path
from uuid import UUID

from cloister.protocol.imagemanifest import KERNEL_IMAGE, ImageEvent
from cloister.protocol.signedimage import DB, PROGRAMS, SECURE_BOOT, programs
from image.build import output
from image.build.measure import predict, predict_file
from image.secureboot import enrolment
from image.secureboot.enrolment import GLOBAL, IMAGE_SECURITY
from image.secureboot.keys import KEK, PK, Certificates

# UEFI_VARIABLE_DATA: vendor, length of the name in characters, length of the contents; name and contents follow.
_VARIABLE_DATA = struct.Struct("<16sQQ")
_DBX = "dbx"

UKI = "uki.signed.efi"
"""The signed kernel image in the folder of a signed image."""


def kernel_image(folder: Path) -> Path:
    """The kernel image that machines start from the image in ``folder``: of a signed image, the signed one."""
    return folder / (UKI if output.read_signed(folder) else KERNEL_IMAGE)


def predict_folder(folder: Path) -> dict[int, tuple[ImageEvent, ...]]:
    """PCR index -> its events, for the image in ``folder``: with Secure Boot off, or if it is signed, on.

    Raises InputError.
    """
    statement, path = output.read_signed(folder), kernel_image(folder)
    registers = predict_file(path)
    if statement is not None:
        registers |= signed(path.read_bytes(), Certificates.of(statement.certificates))
    return dict(sorted(registers.items()))


def signed(uki: bytes, certificates: Certificates) -> dict[int, tuple[ImageEvent, ...]]:
    """The events of PCR 4 and 7 with Secure Boot on, of firmware that has the keys of ``certificates`` and no others.

    ``uki`` may be signed or not: the digest in PCR 4 excludes the signature. Raises ImageError, and KeyError naming a
    missing section.
    """
    return {
        PROGRAMS: programs(predict(uki)[PROGRAMS]),
        SECURE_BOOT: secure_boot(certificates, enabled=True),
    }


def secure_boot(certificates: Certificates | None, *, enabled: bool | None) -> tuple[ImageEvent, ...]:
    """The events of PCR 7 of firmware with these keys (None for firmware without keys), and Secure Boot on or off.

    ``enabled`` None: firmware built without Secure Boot, which has no variable of that name and measures it as empty.
    """
    by_name = certificates.by_name() if certificates else {}
    contents = {name: enrolment.signature_list(der) for name, der in by_name.items()}
    state = b"" if enabled is None else bytes([enabled])
    events = [_variable("EV_EFI_VARIABLE_DRIVER_CONFIG", "SecureBoot", GLOBAL, state)]
    for name, vendor in ((PK, GLOBAL), (KEK, GLOBAL), (DB, IMAGE_SECURITY), (_DBX, IMAGE_SECURITY)):
        events.append(_variable("EV_EFI_VARIABLE_DRIVER_CONFIG", name, vendor, contents.get(name, b"")))
    events.append(ImageEvent.of("EV_SEPARATOR: 00000000", bytes(4)))
    if enabled and certificates:
        entry = enrolment.signature_entry(certificates.db)
        events.append(_variable("EV_EFI_VARIABLE_AUTHORITY", DB, IMAGE_SECURITY, entry))
    return tuple(events)


def _variable(kind: str, name: str, vendor: UUID, contents: bytes) -> ImageEvent:
    data = _VARIABLE_DATA.pack(vendor.bytes_le, len(name), len(contents)) + name.encode("utf-16-le") + contents
    return ImageEvent.of(f"{kind}: {name}", data)
