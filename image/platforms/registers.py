"""The registers of a machine that follow from its image: PCR 2 to 6, 9 and 11 to 13 of a TPM, RTMR 1 and 2 of a TD.

They hold with Secure Boot off, for a signed image with Secure Boot on, and for firmware built from EDK II (OVMF,
Google's) that starts the disk's default boot file at the first attempt, without drivers or option ROMs. Sources: TCG PC
Client Platform Firmware Profile 1.06, section 3.3.4; for a TD, OvmfPkg/Tcg/TdTcg2Dxe of EDK II and UEFI 2.10, section
38.4.1: PCR 2 to 6 are RTMR 1, PCR 8 to 15 are RTMR 2. Before edk2-stable202411 the separator of RTMR 1 was measured
into RTMR 0 (pull request 6051).
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageEvent, replayed, replayed_rtmr
from cloister.protocol.signedimage import SECURE_BOOT
from image.platforms.machine_value import MachineValue, MeasuredStep, ValueKind
from image.secureboot import prediction

_SECTOR = 512
_TABLE_HEADER = 92
_ENTRY = 128
_MAX_TABLE = 64 * 1024
_SIGNATURE = b"EFI PART"
_SOURCE = "the image: docs/measurements.md"
_KEYS_ALONE = "firmware with the image's keys alone"
_GENERATIONS = {"firmware from edk2-stable202411 on": True, "older firmware": False}

_Event = TypeVar("_Event")


def predict(folder: Path) -> tuple[MachineValue, ...]:
    """The registers of machines that boot the image in ``folder``. Raises InputError for a file that is missing."""
    pcrs = {index: list(events) for index, events in prediction.predict_folder(folder).items()}
    separator = ImageEvent.of("EV_SEPARATOR: 00000000", bytes(4))
    pcrs |= {index: [separator] for index in (2, 3, 6)}
    pcrs[5] = [separator, *_disk_events(folder / "disk.raw")]
    return (
        *(_pcr(index, _KEYS_ALONE if index == SECURE_BOOT else "", pcrs[index]) for index in sorted(pcrs)),
        *(_rtmr(1, of, td_programs(pcrs[4], pcrs[5], separator=new)) for of, new in _GENERATIONS.items()),
        _rtmr(2, "", [*pcrs[11], *pcrs[9]]),
    )


def td_programs(programs: Sequence[_Event], disk: Sequence[_Event], *, separator: bool) -> list[_Event]:
    """The events of RTMR 1, from those of PCR 4 and 5. ``separator``: RTMR 1 has one, after the boot action."""
    action, between, *started = programs
    _, table, *exits = disk
    return [action, *([between] if separator else []), table, *started, *exits]


def _disk_events(disk: Path) -> list[ImageEvent]:
    """The rest of PCR 5: UEFI_GPT_DATA (header, number of partitions, used entries), and the end of boot services."""
    try:
        with userfile.open_regular(disk) as file:
            table = file.read(_MAX_TABLE)
    except OSError as error:
        raise userfile.unreadable(disk, error, missing="Build the image with `invoke image.build`.") from error
    header = table[_SECTOR : _SECTOR + _TABLE_HEADER]
    if not header.startswith(_SIGNATURE) or len(header) < _TABLE_HEADER:
        raise InputError(f"{disk} is not a disk of an image.", hint="Build the image with `invoke image.build`.")
    first, count, size = struct.unpack_from("<QII", header, 72)
    rows = table[first * _SECTOR :][: count * size]
    used = [row for start in range(0, len(rows), _ENTRY) if any((row := rows[start : start + _ENTRY])[:16])]
    return [
        ImageEvent.of("EV_EFI_GPT_EVENT: the partition table", header + struct.pack("<Q", len(used)) + b"".join(used)),
        _action("Exit Boot Services Invocation"),
        _action("Exit Boot Services Returned with Success"),
    ]


def _pcr(index: int, of: str, events: Sequence[ImageEvent]) -> MachineValue:
    steps = tuple(MeasuredStep(one.event, one.sha256) for one in events)
    return MachineValue(f"PCR {index}", of, ValueKind.PREDICTED, replayed(events), _SOURCE, steps)


def _rtmr(index: int, of: str, events: Sequence[ImageEvent]) -> MachineValue:
    steps = tuple(MeasuredStep(one.event, one.sha384) for one in events)
    return MachineValue(f"RTMR {index}", of, ValueKind.PREDICTED, replayed_rtmr(events), _SOURCE, steps)


def _action(text: str) -> ImageEvent:
    return ImageEvent.of(f"EV_EFI_ACTION: {text}", text.encode("ascii"))
