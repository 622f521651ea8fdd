"""``limits.memory``: the value to write for packages of a known size, and whether a value is enough.

The machine counts processes, the unpacked bundle, and of unpacked datasets what they take beyond ``unpacked_size``. The
bundle's file system has ``limits.memory`` (``agent_runtime/runner/oci_config.py``, ``memory_limit``).
"""

from typing import TYPE_CHECKING

from cloister.errors import InputError
from cloister.units import format_size, round_up

if TYPE_CHECKING:
    from cloister.protocol.manifest import RunLimits

_PROGRAM = 256 * 1024 * 1024
_STEP = 64 * 1024 * 1024

INTERPRETER = 6 * 1024 * 1024
"""Bytes of a Python that has started and imported nothing: 7 to 9 MiB in the guest."""

_TIGHT = 64 * 1024 * 1024
"""Bytes with which a program gets by that imports numpy and pandas and reads little; large packages need more."""


class NotEnoughMemory(InputError):
    """Unpacked packages and datasets and Python alone take more than ``limits.memory``: no program can start."""

    remedy = "Raise limits.memory, or bundle fewer packages."


def suggested_memory(unpacked_size: int) -> str:
    """The least ``limits.memory``: the unpacked wheels, and 256 MiB for the program and its data."""
    return round_up(unpacked_size + _PROGRAM, _STEP)


def require_memory(limits: "RunLimits", results: int, bundle: int, datasets: int = 0) -> str:
    """A warning if ``limits.memory`` hardly holds what is unpacked and the program; empty if it does.

    With ``limits.scratch``, what is unpacked is on the scratch disk.

    Args:
        limits: of the manifest.
        results: its ``results.max`` in bytes. As long as the results do not take it, the program may.
        bundle: bytes that the bundle takes when it is unpacked.
        datasets: bytes that unpacked datasets take beyond ``unpacked_size``.

    Raises NotEnoughMemory for less than that and Python itself take.
    """
    memory = limits.memory
    if limits.scratch:
        bundle = datasets = 0
    parts = (("the unpacked bundle", bundle), ("the small files of datasets in whole pages", datasets))
    shown = [f"{what} ({format_size(size)})" for what, size in parts if size]
    taken = bundle + datasets
    hint = f"Write at least `memory: {suggested_memory(taken)}` in limits, or `scratch` if the machine has such a disk."
    if bundle > memory or taken + INTERPRETER > memory + results:
        said = " and ".join([*shown, f"Python ({format_size(INTERPRETER)})"])
        raise NotEnoughMemory(f"limits.memory ({format_size(memory)}) does not hold {said}.", hint=hint)
    if taken <= memory // 2 or memory - taken >= max(_TIGHT, taken // 20):
        return ""
    said = " and ".join(shown)
    return (
        f"limits.memory ({format_size(memory)}) has {format_size(max(0, memory - taken))} left for the program and its "
        f"data, beside {said}. {hint}"
    )
