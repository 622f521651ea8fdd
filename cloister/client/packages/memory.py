"""The memory to write into a manifest for packages of a known size."""

from cloister.units import round_up

_PROGRAM = 256 * 1024 * 1024
_STEP = 64 * 1024 * 1024


def suggested_memory(unpacked_size: int) -> str:
    """The least ``limits.memory``: the unpacked wheels, and 256 MiB for the program and its data."""
    return round_up(unpacked_size + _PROGRAM, _STEP)
