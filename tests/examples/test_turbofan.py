"""The turbofan example: tables in the shape of NASA's, and NASA's own."""

from pathlib import Path

import numpy as np
import pytest

from cloister.errors import InputError
from tests.examples.conftest import load

TABLES = {"airline-1": "FD001", "airline-2": "FD003"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("turbofan")
    load("turbofan", "prepare").prepare(folder, small=True, source=None)
    return folder


def test_preparing_twice_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    written = load("turbofan", "prepare").prepare(tmp_path, small=True, source=None)

    assert {path.relative_to(tmp_path): path.read_bytes() for path in written} == {
        path.relative_to(small): path.read_bytes() for path in small.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(("airline", "name"), TABLES.items())
def test_tables_have_the_shape_of_nasas(small: Path, airline: str, name: str) -> None:
    trained, tested = (np.loadtxt(small / airline / f"{part}_{name}.txt") for part in ("train", "test"))
    left = np.loadtxt(small / airline / f"RUL_{name}.txt")

    for rows in (trained, tested):
        assert rows.shape[1] == 26
        for number in np.unique(rows[:, 0]):
            cycles = rows[rows[:, 0] == number, 1]
            assert np.array_equal(cycles, np.arange(1, len(cycles) + 1))
    assert left.shape == (len(np.unique(tested[:, 0])),)
    assert left.min() >= 1


def test_wear_shows_in_the_sensors(small: Path) -> None:
    rows = np.loadtxt(small / "airline-1/train_FD001.txt")
    engine = rows[rows[:, 0] == 1]
    change = np.abs(engine[-15:, 5:].mean(axis=0) - engine[:15, 5:].mean(axis=0)) / (engine[:15, 5:].std(axis=0) + 1e-9)
    assert np.sum(change > 2) >= 8


def test_two_kinds_of_wear_differ_in_their_sensors() -> None:
    module = load("turbofan", "prepare")
    opposed = [a * b < 0 for a, b in zip(module.COMPRESSOR, module.FAN, strict=True)]
    assert sum(opposed) >= 4


def test_own_tables_are_taken_as_they_are(small: Path, tmp_path: Path) -> None:
    source = tmp_path / "nasa"
    source.mkdir()
    for airline, name in TABLES.items():
        for part in ("train", "test", "RUL"):
            text = (small / airline / f"{part}_{name}.txt").read_text()
            # NASA's lines end in two spaces.
            (source / f"{part}_{name}.txt").write_text(text.replace("\n", "  \n"))
    load("turbofan", "prepare").prepare(tmp_path / "out", small=False, source=source)

    for airline, name in TABLES.items():
        for part in ("train", "test", "RUL"):
            file = f"{part}_{name}.txt"
            assert (tmp_path / "out" / airline / file).read_bytes() == (source / file).read_bytes()
    engines = np.loadtxt(tmp_path / "out/manufacturer/engines.txt")
    assert set(engines[:, 0]) == {1.0, 2.0, 3.0}


def test_source_of_another_shape_is_refused(tmp_path: Path) -> None:
    for name in TABLES.values():
        for part in ("train", "test", "RUL"):
            (tmp_path / f"{part}_{name}.txt").write_text("1 2 3\n")
    with pytest.raises(InputError, match=r"lines of \[3\] columns instead of 26"):
        load("turbofan", "prepare").prepare(tmp_path / "out", small=False, source=tmp_path)
    with pytest.raises(InputError, match="is not a file"):
        load("turbofan", "prepare").prepare(tmp_path / "out", small=False, source=tmp_path / "nowhere")
