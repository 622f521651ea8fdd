"""The file name of a wheel: ``name-version[-build]-python-abi-platform.whl``.

Source: PyPA, "Binary distribution format", "File name convention".
"""

import re
from dataclasses import dataclass

from cloister.protocol import guest
from cloister.protocol.wheels.errors import BundleError

_FILENAME = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._]*[A-Za-z0-9])?)-(?P<version>[A-Za-z0-9.!+_]+)(?:-(?P<build>[0-9][A-Za-z0-9._]*))?"
    r"-(?P<python>[A-Za-z0-9._]+)-(?P<abi>[A-Za-z0-9._]+)-(?P<platform>[A-Za-z0-9._]+)\.whl"
)
_CPYTHON = re.compile(r"cp3([0-9]+)")
_GUEST_MINOR = int(guest.PYTHON.partition(".")[2])


def normalised(name: str) -> str:
    """A package's name, normalised for comparison (PyPA, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class WheelName:
    """The parts of a wheel's file name. A tag may name several values, joined by dots."""

    file: str
    name: str
    version: str
    python: str
    abi: str
    platform: str

    @classmethod
    def parse(cls, file: str) -> "WheelName":
        """Split a file name. Raises BundleError if it is not that of a wheel."""
        found = _FILENAME.fullmatch(file)
        if found is None or len(file) > 255:
            raise BundleError(
                f"{file[:300]!r} is not the file name of a wheel (name-version-python-abi-platform.whl).",
                hint="Keep the name under which the wheel was published.",
            )
        return cls(file, found["name"], found["version"], found["python"], found["abi"], found["platform"])

    @property
    def package(self) -> str:
        """The normalised name of the package."""
        return normalised(self.name)

    def runs_in_guest(self) -> bool:
        """Return whether one of the wheel's tags is the guest's (PyPA, "Platform compatibility tags")."""
        platforms = self.platform.split(".")
        abis = self.abi.split(".")
        native = any(platform in guest.PLATFORMS for platform in platforms)
        for python in self.python.split("."):
            if "none" in abis and (native or "any" in platforms) and python in _PLAIN_PYTHONS:
                return True
            if native and python == guest.ABI and guest.ABI in abis:
                return True
            version = _CPYTHON.fullmatch(python)
            if native and version is not None and "abi3" in abis and 2 <= int(version[1]) <= _GUEST_MINOR:
                return True
        return False


_PLAIN_PYTHONS = frozenset({"py3", guest.ABI, *(f"py3{minor}" for minor in range(_GUEST_MINOR + 1))})
"""Python tags of wheels without an extension module."""
