"""Reports of the processor's security module, through the kernel's configfs-tsm.

Source: Linux, Documentation/ABI/testing/configfs-tsm-report. Init makes one report's folder and gives the agent its
``inblob``: what is written there goes into the report that is read from ``outblob``.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent_runtime.errors import AgentError

REPORT_FOLDER = Path("/sys/kernel/config/tsm/report/cloister")

SEV_GUEST = "sev_guest"
TDX_GUEST = "tdx_guest"

MAX_SIZE = 64 * 1024
"""Bytes of one attribute; the kernel makes 32 KiB at most (include/linux/tsm.h, TSM_OUTBLOB_MAX)."""


class ReportAttributes(Protocol):
    """The attributes of one report, by name. Each reading and writing is a whole one. Raises OSError."""

    def read(self, name: str) -> bytes: ...
    def write(self, name: str, data: bytes) -> None: ...


@dataclass(frozen=True)
class ReportFolder:
    """The attributes as the kernel shows them."""

    path: Path = REPORT_FOLDER

    def read(self, name: str) -> bytes:
        """At most MAX_SIZE bytes."""
        with (self.path / name).open("rb") as file:
            return file.read(MAX_SIZE)

    def write(self, name: str, data: bytes) -> None:
        """The kernel takes what was written when the file is closed, and says nothing then."""
        attribute = os.open(self.path / name, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(attribute, data)
        finally:
            os.close(attribute)


@dataclass(frozen=True)
class TsmReport:
    """``outblob`` is the report itself, ``auxblob`` what the host gave with it, possibly nothing."""

    outblob: bytes
    auxblob: bytes


@dataclass(frozen=True)
class ReportInterface:
    """Makes reports, one at a time."""

    attributes: ReportAttributes

    def provider(self) -> str:
        """Which security module there is; nothing when the kernel found none. Raises OSError."""
        try:
            return self.attributes.read("provider").decode("ascii", "replace").strip()
        except FileNotFoundError:
            return ""

    def take(self, report_data: bytes) -> TsmReport:
        """A report over 64 bytes. Raises OSError, or AgentError when somebody else wrote between."""
        before = self._generation()
        self.attributes.write("inblob", report_data)
        report = TsmReport(self.attributes.read("outblob"), self._auxblob())
        # One writing, ours: without it the report is over what was written before, and a second one is not ours.
        if self._generation() != before + 1:
            raise AgentError("The kernel's report was not made for this request alone.")
        return report

    def _generation(self) -> int:
        text = self.attributes.read("generation").strip()
        if not text.isdigit():
            raise AgentError("The kernel numbers its reports with something that is no number.")
        return int(text)

    def _auxblob(self) -> bytes:
        """Only SEV-SNP has one, and only if the host gives one."""
        try:
            return self.attributes.read("auxblob")
        except FileNotFoundError:
            return b""
