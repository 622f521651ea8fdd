"""Where the agent finds things. The defaults are the guest image's (image/guest)."""

from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.limits import Limits

PORT = 6110


@dataclass(frozen=True)
class Config:
    """``address`` is what the agent listens on; with port 0 the kernel chooses one."""

    address: str = f"0.0.0.0:{PORT}"
    boot_configuration: Path = Path("/run/cloister/boot-configuration")
    boot_event_log: Path = Path("/run/cloister/boot-event-log")
    ccel: Path = Path("/run/cloister/ccel")
    debug: Path = Path("/usr/lib/cloister/debug")
    platform: Path = Path("/run/cloister/platform")
    store: Path = Path("/run/cloister/assets")
    runner: Path = Path("/run/cloister/runner.sock")
    results: Path = Path("/run/cloister/run/results")
    output: Path = Path("/run/cloister/run/output")
    boot_progress: Path = Path("/run/cloister/milestone")
    limits: Limits = field(default_factory=Limits)
