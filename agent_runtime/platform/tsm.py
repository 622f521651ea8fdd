"""Hardware reports through the kernel's configfs-tsm.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report. Init creates a report's folder and makes its ``inblob``
writable for the agent. The report in ``outblob`` covers the bytes written there.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent_runtime.errors import AgentError
from cloister.protocol.text import decimal

REPORT_FOLDER = Path("/sys/kernel/config/tsm/report/cloister")

SEV_GUEST = "sev_guest"
TDX_GUEST = "tdx_guest"

MAX_SIZE = 64 * 1024
"""Maximum bytes of one attribute; the kernel allows 32 KiB (include/linux/tsm.h, TSM_OUTBLOB_MAX)."""


class ReportAttributes(Protocol):
    """The attributes of one report, by name, each read and written as a whole. Raises OSError."""

    def read(self, name: str) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...


@dataclass(frozen=True)
class ReportFolder:
    """The attributes as files of the kernel's configfs."""

    path: Path = REPORT_FOLDER

    def read(self, name: str) -> bytes:
        """Read at most MAX_SIZE bytes."""
        with (self.path / name).open("rb") as file:
            return file.read(MAX_SIZE)

    def write(self, name: str, data: bytes) -> None:
        """Write an attribute. The kernel takes it when the file is closed, and reports no error then."""
        attribute = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(attribute, data)
        finally:
            os.close(attribute)


@dataclass(frozen=True)
class TsmReport:
    """``outblob`` is the report, ``auxblob`` the certificates that the host added, or empty."""

    outblob: bytes
    auxblob: bytes


@dataclass(frozen=True)
class ReportInterface:
    """Makes reports, one at a time."""

    attributes: ReportAttributes

    def provider(self) -> str:
        """The kernel's provider of reports. Empty when it has none. Raises OSError."""
        try:
            return self.attributes.read("provider").decode("ascii", "replace").strip()
        except FileNotFoundError:
            return ""

    def take(self, report_data: bytes) -> TsmReport:
        """A report over 64 bytes. Raises OSError, or AgentError when another process wrote meanwhile."""
        before = self._generation()
        self.attributes.write("inblob", report_data)
        report = TsmReport(self.attributes.read("outblob"), self._auxblob())
        # Exactly one write, ours. Otherwise the report may cover other bytes.
        if self._generation() != before + 1:
            raise AgentError("Another process used the report interface at the same time.")
        return report

    def _generation(self) -> int:
        number = decimal(self.attributes.read("generation").decode("ascii", "replace").strip())
        if number is None:
            raise AgentError("The kernel's report has an invalid generation: it must be a number.")
        return number

    def _auxblob(self) -> bytes:
        """The host's certificates. Only with SEV-SNP, and only if the host provides them."""
        try:
            return self.attributes.read("auxblob")
        except FileNotFoundError:
            return b""
