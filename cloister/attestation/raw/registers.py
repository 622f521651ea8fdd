"""What each register means, and who can confirm its value: one table for the verdict's advice and for first policies.

Sources: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4 (PCR 0 to 7); the manual of GRUB (PCR 8 and 9);
systemd-stub(7) (PCR 9 and 11 to 13); README.tpm of shim (PCR 14); UEFI 2.10, section 38.4.1 (RTMR).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Knows(StrEnum):
    """Who can confirm the value of a register, after the words "confirm with": the one who decides it.

    Keys of Secure Boot and of a boot loader are variables of a machine, so they are known
    by the one who starts it.
    """

    FIRMWARE = "who runs the machine, and who built its firmware"
    STARTER = "who started the machine: what did they start it with?"
    BUILDER = "who built its image: what do they publish, or what does a rebuild give?"


@dataclass(frozen=True)
class Register:
    """``meaning`` is a noun phrase. ``lasts``: it does not change while a machine runs, so that it can be pinned."""

    meaning: str
    known_by: Knows
    lasts: bool = True


PCR_REGISTERS: Mapping[int, Register] = MappingProxyType(
    {
        0: Register("firmware code", Knows.FIRMWARE),
        1: Register("the host's configuration of the firmware", Knows.STARTER),
        2: Register("UEFI drivers and option ROMs", Knows.FIRMWARE),
        3: Register("option ROM configuration", Knows.FIRMWARE),
        4: Register("the boot loader or kernel image that was started", Knows.BUILDER),
        5: Register("partition table and boot loader configuration", Knows.BUILDER),
        6: Register("platform manufacturer", Knows.FIRMWARE),
        7: Register("Secure Boot: whether it is on, and its keys", Knows.STARTER),
        8: Register("command line, as some boot loaders measure it", Knows.BUILDER),
        9: Register("initrd and kernel command line", Knows.BUILDER),
        10: Register("the kernel's own measurements", Knows.BUILDER, lasts=False),
        11: Register("sections of the kernel image", Knows.BUILDER),
        12: Register("command line, addons and credentials from outside", Knows.STARTER),
        13: Register("system extensions from outside", Knows.STARTER),
        14: Register("keys that a boot loader accepts besides those of Secure Boot", Knows.STARTER),
        **{index: Register("used by the operating system", Knows.BUILDER, lasts=False) for index in range(15, 24)},
    }
)
"""PCR 0 to 23."""

RTMR_REGISTERS = (
    Register("the host's configuration of the firmware", Knows.STARTER),
    Register("the boot loader or kernel image that was started", Knows.BUILDER),
    Register("initrd and kernel command line", Knows.BUILDER),
    Register("what the machine measured after boot", Knows.BUILDER),
)
"""RTMR 0 to 3."""
