"""Time of ``invoke --list``, which every user runs first."""

from benchmarks.measurement import BenchmarkResult, invoke


def measure(repeat: int) -> list[BenchmarkResult]:
    """Wall time of ``invoke --list``, after one call that is not counted."""
    invoke("--list")
    values = tuple(invoke("--list") for _ in range(repeat))
    return [BenchmarkResult("`invoke --list`", values, "s", 0.6, "wall time, bytecode cached")]
