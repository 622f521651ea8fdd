"""A limit on memory that certainly does not suffice is refused, and one that hardly does is a warning."""

import tarfile
from pathlib import Path

import pytest

from cloister.client.computation.asset import describe_asset
from cloister.client.packages.memory import INTERPRETER, NotEnoughMemory, require_memory
from cloister.protocol.manifest import RunLimits
from cloister.units import format_size

MIB = 1024 * 1024
CASES = {
    "nothing unpacked": (INTERPRETER, 0, 0, ""),
    "much is left": (1024 * MIB, 700 * MIB, 0, ""),
    "the margin is left": (764 * MIB, 700 * MIB, 0, ""),
    "less than the margin": (764 * MIB - 1, 700 * MIB, 0, ", beside the unpacked bundle (700 MiB)."),
    "hardly anything": (700 * MIB + INTERPRETER, 700 * MIB, 0, ", beside the unpacked bundle (700 MiB)."),
    "a large bundle needs a larger margin": (4300 * MIB, 4200 * MIB, 0, ", beside the unpacked bundle (4.102 GiB)."),
    "a small bundle": (48 * MIB, 10 * MIB, 0, ""),
    "small files": (200 * MIB, 0, 150 * MIB, ", beside the small files of datasets in whole pages (150 MiB)."),
    "both": (
        300 * MIB,
        100 * MIB,
        150 * MIB,
        "bundle (100 MiB) and the small files of datasets in whole pages (150 MiB).",
    ),
}


def limits(memory: int, scratch: int = 0) -> RunLimits:
    return RunLimits(time=60, memory=memory, cpus=1, processes=16, scratch=scratch)


def test_scratch_disk_has_what_is_unpacked() -> None:
    assert require_memory(limits(100 * MIB, scratch=1024 * MIB), 0, 700 * MIB, 700 * MIB) == ""
    with pytest.raises(NotEnoughMemory, match=r" does not hold Python "):
        require_memory(limits(INTERPRETER - 1, scratch=1024 * MIB), 0, 700 * MIB)


@pytest.mark.parametrize("case", CASES)
def test_tight_limit_is_told_with_what_takes_it(case: str) -> None:
    memory, bundle, datasets, said = CASES[case]
    found = require_memory(limits(memory), 0, bundle, datasets)
    assert (found == "") if not said else said in found
    if said:
        assert f"has {format_size(memory - bundle - datasets)} left for the program" in found
        assert "Write at least `memory: " in found


@pytest.mark.parametrize(("bundle", "datasets"), [(0, 0), (700 * MIB, 0), (0, 150 * MIB), (10 * MIB, 10 * MIB)])
def test_limit_that_cannot_suffice_is_refused(bundle: int, datasets: int) -> None:
    least = bundle + datasets + INTERPRETER
    require_memory(limits(least), 0, bundle, datasets)
    with pytest.raises(NotEnoughMemory, match=r"^limits\.memory \(.*\) does not hold ") as caught:
        require_memory(limits(least - 1), 0, bundle, datasets)
    assert caught.value.hint.startswith("Write at least `memory: ")


def test_program_may_take_what_its_results_do_not() -> None:
    assert "has 0 bytes left for the program" in require_memory(limits(100 * MIB), INTERPRETER, 100 * MIB)
    with pytest.raises(NotEnoughMemory):
        require_memory(limits(100 * MIB), INTERPRETER - 1, 100 * MIB)
    with pytest.raises(NotEnoughMemory):  # the file system of the bundle
        require_memory(limits(100 * MIB - 1), 64 * MIB, 100 * MIB)


def test_many_small_files_take_more_than_their_size(tmp_path: Path) -> None:
    folder = tmp_path / "scans"
    (folder / "a").mkdir(parents=True)
    for number in range(100):
        (folder / "a" / str(number)).write_bytes(b"1")
    with tarfile.open(tmp_path / "scans.tar", "w") as packed:
        packed.add(folder / "a", "a")
    for path in (folder, tmp_path / "scans.tar"):
        found = describe_asset(path)
        assert found.unpacked_size == 100
        assert found.beyond(100) == 100 * 4096 + 101 * 900 - 100
        assert found.beyond(10**6) == 0
