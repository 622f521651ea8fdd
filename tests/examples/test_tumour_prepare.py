"""How the real cases are divided among the hospitals."""

import csv
import hashlib
import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from cloister.client.computation.manifest import compose_manifest
from cloister.client.files.keys import KeyType, generate_key
from cloister.errors import InputError
from examples.tumour import prepare as preparation


def rows(prepared: Path, number: int) -> list[dict[str, str]]:
    with (prepared / f"hospital-{number}" / f"h{number}.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_case_goes_to_one_place(prepared: Path) -> None:
    names = [row["case"] for number in (1, 2, 3) for row in rows(prepared, number)]
    names.append(json.loads((prepared / "lab" / "case.json").read_text())["case"])
    assert sorted(names) == [f"wdbc-{number:03}" for number in range(1, 570)]


def test_hospitals_differ_in_size_and_mix(prepared: Path) -> None:
    found = {number: Counter(row["diagnosis"] for row in rows(prepared, number)) for number in (1, 2, 3)}
    assert found == {
        1: {"malignant": 69, "benign": 235},
        2: {"malignant": 102, "benign": 50},
        3: {"malignant": 40, "benign": 72},
    }


def test_every_hospital_holds_out_a_fifth_in_each_round(prepared: Path) -> None:
    for number, sizes in [(1, [61, 61, 61, 61, 60]), (2, [31, 31, 30, 30, 30]), (3, [23, 23, 22, 22, 22])]:
        folds = Counter(row["fold"] for row in rows(prepared, number))
        assert [folds[str(fold)] for fold in range(1, 6)] == sizes


def test_manifest_has_the_digests_of_the_tables(prepared: Path) -> None:
    stated = yaml.safe_load((prepared / "lab" / "manifest.yaml").read_text())
    tables = [prepared / dataset["provider"] / dataset["file"] for dataset in stated["datasets"]]
    assert [(dataset["digest"], dataset["size"]) for dataset in stated["datasets"]] == [
        (hashlib.sha256(table.read_bytes()).hexdigest(), table.stat().st_size) for table in tables
    ]


def test_canonical_manifest_needs_no_hospital_table(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared / "lab", tmp_path / "lab")
    folder = tmp_path / "lab" / "keys"
    folder.mkdir()
    for party in ("lab", "hospital-1", "hospital-2", "hospital-3"):
        generate_key(folder / f"{party}.pem", KeyType.ED25519)
    (tmp_path / "lab" / "numpy.bundle").write_bytes(bytes(10_240))  # an empty tar
    composed = compose_manifest(tmp_path / "lab" / "manifest.yaml")
    assert [asset.file for asset in composed.assets()] == ["train.py", "numpy.bundle", "h1.csv", "h2.csv", "h3.csv"]
    assert composed.results.consumers == ("lab",)


def test_preparing_twice_gives_the_same_files(tumour_prepare: ModuleType, prepared: Path, tmp_path: Path) -> None:
    written = tumour_prepare.prepare(tmp_path)
    assert {path.relative_to(tmp_path): path.read_bytes() for path in written} == {
        path.relative_to(prepared): path.read_bytes() for path in prepared.rglob("*") if path.is_file()
    }


def test_new_patient_has_no_diagnosis_in_its_file(prepared: Path) -> None:
    case = json.loads((prepared / "lab" / "case.json").read_text())
    assert set(case) == {"case", "measurements"}
    assert list(case["measurements"]) == list(rows(prepared, 1)[0])[2:-1]
    assert case["measurements"]["mean radius"] == 17.99


def test_another_table_is_rejected(tumour_prepare: ModuleType) -> None:
    with pytest.raises(InputError, match=f"has the SHA-256 {hashlib.sha256(b'x').hexdigest()}, expected fed3eb72"):
        tumour_prepare.read_cases(b"x")


def test_ctrl_c_prints_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparation, "fetch_table", interrupted)
    monkeypatch.setattr(sys, "argv", ["prepare.py", "demo"])

    assert preparation.main() == 130
    assert capsys.readouterr() == ("", "\nInterrupted.\n")
