"""Paths and addresses that the agent uses. The defaults are those of the guest image (image/guest)."""

from dataclasses import dataclass, field
from pathlib import Path

from agent_runtime.limits import Limits

PORT = 6110


@dataclass(frozen=True)
class Config:
    """Every value has a default."""

    address: str = f"0.0.0.0:{PORT}"
    """Where the agent listens. With port 0 the kernel chooses a port."""

    boot_configuration: Path = Path("/run/cloister/boot-configuration")
    """The boot configuration that init took from fw_cfg (platform ``local`` only)."""

    boot_event_log: Path = Path("/run/cloister/boot-event-log")
    """The firmware's TCG event log, copied by init. An empty file if there is no log."""

    ccel: Path = Path("/run/cloister/ccel")
    """The firmware's log of a TD, copied by init. An empty file if there is no log."""

    debug: Path = Path("/usr/lib/cloister/debug")
    """``no`` in every image except debug images. Part of the measured root file system."""

    packages: Path = Path("/usr/lib/cloister/packages.json")
    """The Python packages that algorithms find in the image. Part of the measured root file system."""

    platform: Path = Path("/run/cloister/platform")
    """The kind of machine that init found: ``local``, ``azure`` or ``gcp``."""

    store: Path = Path("/run/cloister/assets")
    """The folder for assets and encrypted results, a tmpfs."""

    runner: Path = Path("/run/cloister/runner.sock")
    """The runner's socket."""

    results: Path = Path("/run/cloister/run/results")
    """Where the runner leaves the algorithm's results."""

    output: Path = Path("/run/cloister/run/output")
    """Where the runner writes what the algorithm prints."""

    boot_progress: Path = Path("/run/cloister/milestone")
    """The virtio port for the boot progress, or /dev/null."""

    limits: Limits = field(default_factory=Limits)
    """What peers may use of the machine."""
