"""Whether a local CVM is running, from its state."""

from infra import paths
from infra.processes import Process
from infra.provider.qemu import machine
from infra.provider.resource import Properties


def process_of(state: Properties) -> Process | None:
    """QEMU's process, None if the state has none."""
    value = state.get("process")
    return Process(int(value["pid"]), int(value["started"])) if isinstance(value, dict) else None


def is_alive(state: Properties) -> bool:
    """Whether QEMU and the TPM run: without its TPM a CVM cannot attest."""
    qemu = process_of(state)
    folder = paths.state() / str(state["workspace"]) / str(state["name"])
    return qemu is not None and qemu.alive() and bool(machine.running(folder, machine.TPM))
