"""The surroundings of a computation: what it needs from the rest of the agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent_runtime.clock import Clock
from agent_runtime.computation import capacity
from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.events import SignedEventLog
from agent_runtime.computation.results import ResultSlots
from agent_runtime.limits import Limits
from agent_runtime.operations.operations import Operations
from agent_runtime.platform.attester import Attester
from agent_runtime.runner.client import RunnerClient
from cloister.protocol.bootconfig import BootConfiguration


@dataclass(frozen=True)
class ComputationContext:
    """Made once, when the agent starts."""

    boot_configuration: BootConfiguration
    """The measured boot configuration; it names the owners."""

    confidential: bool
    """What the receipt says about this machine."""

    attester: Attester
    """Measures the manifest and makes evidence."""

    log: SignedEventLog
    """The event log."""

    store: AssetStore
    """The uploaded assets."""

    slots: ResultSlots
    """The consumers' encrypted results."""

    runner: RunnerClient
    """Starts the run and ends the machine."""

    sign: Callable[[bytes], bytes]
    """Turns a receipt's payload into its signed envelope."""

    limits: Limits
    """What peers may use of the machine."""

    clock: Clock
    """The machine's clocks."""

    packages: Mapping[str, str]
    """The Python packages that algorithms find in the image: normalised name to version."""

    operations: Operations
    """The agent's counters and its own log."""

    free_memory: capacity.FreeBytes
    """Available memory in bytes."""

    free_store: capacity.FreeBytes
    """Free bytes in the store's file system, which are part of the memory."""
