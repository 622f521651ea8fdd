"""The fraud example: its tables, and how a real one is divided."""

import csv
from pathlib import Path

import numpy as np
import pytest

from cloister.errors import InputError
from tests.examples.conftest import load

BANKS = ("bank-1", "bank-2", "bank-3")
COLUMNS = ["Time", *(f"V{number}" for number in range(1, 29)), "Amount", "Class"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fraud")
    load("fraud", "prepare").prepare(folder, small=True, source=None)
    return folder


def table(folder: Path, bank: str) -> np.ndarray:
    return np.loadtxt(folder / bank / f"{bank}.csv", delimiter=",", skiprows=1)


def test_preparing_twice_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    written = load("fraud", "prepare").prepare(tmp_path, small=True, source=None)

    assert {path.relative_to(tmp_path): path.read_bytes() for path in written} == {
        path.relative_to(small): path.read_bytes() for path in small.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("bank", BANKS)
def test_tables_have_the_columns_of_the_public_one(small: Path, bank: str) -> None:
    with (small / bank / f"{bank}.csv").open() as file:
        assert next(csv.reader(file)) == COLUMNS
    rows = table(small, bank)
    assert np.all(np.diff(rows[:, 0]) >= 0)
    assert set(rows[:, -1]) == {0.0, 1.0}
    assert 0.005 < rows[:, -1].mean() < 0.08


def test_banks_differ_in_scale_and_drift(small: Path) -> None:
    spreads = [float(table(small, bank)[:, 1:29].std()) for bank in BANKS]
    assert max(spreads) > 1.5 * min(spreads)
    for bank in BANKS:
        rows = table(small, bank)
        quarter = len(rows) // 4
        moved = np.abs(rows[:quarter, 1:29].mean(axis=0) - rows[-quarter:, 1:29].mean(axis=0)) / rows[:, 1:29].std(
            axis=0
        )
        assert np.sort(moved)[-4] > 0.15


def test_new_transactions_have_no_class_and_come_last(small: Path) -> None:
    with (small / "bank-1/new.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    assert list(rows[0]) == COLUMNS[:-1]
    assert float(rows[0]["Time"]) >= table(small, "bank-1")[-1, 0]


def test_real_table_is_divided_without_loss(small: Path, tmp_path: Path) -> None:
    source = small / "bank-1/bank-1.csv"
    load("fraud", "prepare").prepare(tmp_path, small=False, source=source)
    parts = np.concatenate([table(tmp_path, bank) for bank in BANKS])
    every = table(small, "bank-1")

    assert len(parts) == len(every) - 200
    assert np.array_equal(np.sort(parts[:, 1]), np.sort(every[:-200, 1]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "is not a file"),
        *((data, "does not have the columns Time,V1,") for data in (b"a,b\n1,2\n", b"", b"PK\3\4\xd0\xff")),
    ],
)
def test_source_of_another_shape_is_refused(tmp_path: Path, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / "real.csv").write_bytes(data)
    with pytest.raises(InputError, match=said):
        load("fraud", "prepare").prepare(tmp_path / "out", small=False, source=tmp_path / "real.csv")
