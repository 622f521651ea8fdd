"""What a computation works with: made once, when the agent boots."""

from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.clock import Clock
from agent_runtime.computation import capacity
from agent_runtime.computation.assets import AssetStore
from agent_runtime.computation.events import EventLog
from agent_runtime.computation.results import ResultSlots
from agent_runtime.limits import Limits
from agent_runtime.platform.attester import Attester
from agent_runtime.runner.client import RunnerClient
from cloister.protocol.bootconfig import BootConfiguration


@dataclass(frozen=True)
class ComputationContext:
    """``confidential`` is what a receipt says of the machine, ``sign`` makes the receipt's envelope.

    ``free_memory`` and ``free_store`` measure in bytes.
    """

    boot_configuration: BootConfiguration
    confidential: bool
    attester: Attester
    log: EventLog
    store: AssetStore
    slots: ResultSlots
    runner: RunnerClient
    sign: Callable[[bytes], bytes]
    limits: Limits
    clock: Clock
    free_memory: capacity.FreeBytes
    free_store: capacity.FreeBytes
