"""What a benchmark says of its figures."""

import sys

import pytest

from benchmarks.measurement import BenchmarkError, BenchmarkResult, median_parts, output_of, peak_memory, seconds


def test_median_counts_and_the_spread_is_told() -> None:
    measured = BenchmarkResult("a boot", (31.0, 12.25, 13.0), "s", 30, "by clock")
    assert (measured.figure, measured.meets_target) == (13.0, True)
    assert measured.row() == "| a boot | 30 s | 13.00 s | median of 3, 12.25 to 31.00; by clock |"


def test_single_run_is_called_so() -> None:
    measured = BenchmarkResult("a disk", (90.0,), "MB", 85, "by eye")
    assert not measured.meets_target
    assert measured.row() == "| a disk | 85 MB | 90.00 MB | one run; by eye |"


def test_parts_that_not_every_run_has_are_left_out() -> None:
    assert median_parts([{"a": 1.0, "b": 2.0}, {"a": 3.0}, {"a": 2.0, "b": 1.0}]) == (("a", 2.0),)


def test_failed_command_is_told_with_its_last_lines() -> None:
    with pytest.raises(BenchmarkError) as raised:
        seconds([sys.executable, "-c", "print('the reason'); raise SystemExit(3)"])
    assert "ended with status 3.\nthe reason" in raised.value.message


def test_peak_memory_of_a_process_is_its_own() -> None:
    large = b"x" * (128 * 1024 * 1024)
    said = output_of([sys.executable, "-c", "from benchmarks.measurement import peak_memory; print(peak_memory())"])
    assert float(said) < len(large) / 1e6 < peak_memory()
