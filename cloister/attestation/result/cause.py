"""The likely cause of a measurement that is not the expected one: an explanation, on which no check relies."""

from dataclasses import dataclass
from enum import StrEnum


class Likely(StrEnum):
    """What usually changes a measurement."""

    COMMAND_LINE = "the kernel command line"
    PROCESSORS = "the number or model of virtual processors"
    MACHINE = "the number of virtual processors, the memory size or another setting of the virtual machine"
    FIRMWARE = "another firmware"
    IMAGE = "another image"
    SECURE_BOOT = "Secure Boot"
    DRIVER = "a driver or option ROM from outside the image"
    PROGRAM = "another program that the firmware started"
    DISK = "another partition table"
    HOST_INPUT = "an addon, credential or extension from the host"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Cause:
    """Why a check failed, as far as event logs and image manifests tell.

    check: the name of the failed check.
    likely: the likely cause, a clause.
    place: the first event or page that differs; a register where no event can be named.
    expected: what should be there; empty if no image manifest says it.
    found: what is there.
    """

    check: str
    likely: Likely
    place: str
    expected: str
    found: str

    def value(self) -> dict[str, str]:
        """The JSON value."""
        return {
            "check": self.check,
            "likely": self.likely.value,
            "place": self.place,
            "expected": self.expected,
            "found": self.found,
        }

    def sentence(self) -> str:
        """The cause for people: ``pcr-9: likely the kernel command line. Event 1 of PCR 9: expected ..., found ...``"""
        known = self.likely is not Likely.UNKNOWN
        wanted = f"expected {self.expected}, " if self.expected else ""
        cause = f"likely {self.likely}" if known else "the cause is not known"
        return f"{self.check}: {cause}. {self.place[:1].upper()}{self.place[1:]}: {wanted}found {self.found}."
