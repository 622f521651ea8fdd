"""The events of RTMR 0: those that a firmware file decides, with their digests, and those of the host, without.

Source: OvmfPkg/Library/PeilessStartupLib (TD HOB, configuration volume) and OvmfPkg/Tcg/TdTcg2Dxe of EDK II. The host's
events are its list of memory, the ACPI tables that QEMU hands over, and the firmware's boot entries for its devices.
"""

import hashlib

from cloister.attestation.launch.tdx import TdFirmware
from image.platforms.machine_value import MachineValue, MeasuredStep, ValueKind
from image.secureboot.prediction import secure_boot

_SOURCE = "the host decides the events without a digest"
_ACPI = ("the loader script", "the RSDP", "the tables")


def of_firmware(firmware: TdFirmware) -> MachineValue:
    """RTMR 0 of firmware without keys for Secure Boot, without a value."""
    variables = hashlib.sha384(firmware.configuration_volume).hexdigest()
    steps = (
        MeasuredStep("EV_EFI_HANDOFF_TABLES2: the list of memory", ""),
        MeasuredStep("EV_EFI_PLATFORM_FIRMWARE_BLOB2: the firmware's variables", variables),
        MeasuredStep(
            "EV_EFI_VARIABLE_DRIVER_CONFIG: SecureBoot, which is 0, or empty in a build without Secure Boot", ""
        ),
        *(MeasuredStep(one.event, one.sha384) for one in secure_boot(None, enabled=False)[1:]),
        *(MeasuredStep(f"EV_PLATFORM_CONFIG_FLAGS: ACPI, {part}", "") for part in _ACPI),
        MeasuredStep("EV_EFI_VARIABLE_BOOT: BootOrder, then each entry", ""),
    )
    return MachineValue("RTMR 0", "TDX, no keys for Secure Boot", ValueKind.HOST, "", _SOURCE, steps)
