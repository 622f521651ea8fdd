"""An author's manifest for a trial: mock data stand for what is not here, and everything else is as for a machine."""

from pathlib import Path

import pytest

from cloister.client.trial.source import compose_trial
from cloister.errors import InputError
from cloister.protocol.wheels.bundle import REQUIREMENTS, header

SOURCE = """\
version: 1
name: covid19
parties: {lab: {key: lab.pub}, hospital: {key: nowhere.pub}}
algorithm: {provider: lab, file: train.py, kind: python, args: [--epochs, "1"]}
datasets:
  - {name: h1, provider: hospital, file: real.csv, digest: "%s", size: 5GiB}
  - {name: h2, provider: hospital, file: scans.zip, unpack: true, unpacked_size: 9GiB}
results: {consumers: [lab], expires: 24h, max: 1MiB}
limits: {time: 2m, memory: 256MiB, cpus: 1, processes: 16}
""" % ("ab" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "computation.yaml").write_text(SOURCE)
    (tmp_path / "train.py").write_text("print(1)")
    (tmp_path / "mock" / "scans").mkdir(parents=True)
    (tmp_path / "mock" / "other name.csv").write_text("1,2\n")
    (tmp_path / "mock" / "scans" / "a.csv").write_text("345")
    return tmp_path


def data(folder: Path) -> dict[str, Path]:
    return {"h1": folder / "mock" / "other name.csv", "h2": folder / "mock" / "scans"}


def test_mock_data_have_the_name_of_the_dataset_and_their_own_sizes(folder: Path) -> None:
    manifest, paths = compose_trial(folder / "computation.yaml", data(folder))

    assert [(asset.name, asset.file, asset.unpack, asset.unpacked_size) for asset in manifest.datasets] == [
        ("h1", "real.csv", False, 0),
        ("h2", "scans.zip", True, 3),
    ]
    assert manifest.datasets[0].size == 4
    assert paths == {"algorithm": folder / "train.py", **data(folder)}
    assert manifest.algorithm.args == ("--epochs", "1")
    assert (manifest.limits.time, manifest.limits.memory) == (120, 256 << 20)


def test_file_that_is_here_needs_no_mock_data(folder: Path) -> None:
    (folder / "real.csv").write_text("1")
    found = data(folder)
    del found["h1"]
    _, paths = compose_trial(folder / "computation.yaml", found)

    assert paths["h1"] == folder / "real.csv"


def test_mock_data_replace_a_file_that_is_here(folder: Path) -> None:
    (folder / "real.csv").write_text("the real data")
    _, paths = compose_trial(folder / "computation.yaml", data(folder))

    assert paths["h1"] == folder / "mock" / "other name.csv"


def test_author_of_a_trial_is_not_asked_for_the_manifest_of_an_image(folder: Path) -> None:
    text = b"# image: torch==2.6.0\n"
    (folder / "x.bundle").write_bytes(header(REQUIREMENTS, len(text)) + text + bytes(-len(text) % 512 + 1024))
    (folder / "computation.yaml").write_text(SOURCE.replace("kind: python", "kind: python, bundle: x.bundle"))
    notes: list[str] = []
    manifest, _ = compose_trial(folder / "computation.yaml", data(folder), notes)

    assert dict(manifest.algorithm.image_packages) == {"torch": "2.6.0"}
    assert notes == []


REFUSED = {
    "no mock data": ({}, "", "", ":6: datasets.0.file: real.csv is not here."),
    "mock data that are not there": ({"h1": "nowhere.csv"}, "", "", "nowhere.csv does not exist."),
    "mock data of another name": ({"h3": "mock"}, "", "", "has no dataset 'h3': its datasets are h1, h2."),
    "mock data that cannot be unpacked": ({"h2": "mock/other name.csv"}, "", "", "cannot be unpacked"),
    "no algorithm": ({}, "train.py", "other.py", ":4: algorithm.file: other.py is not here."),
    "no bundle": (
        {},
        "kind: python,",
        "kind: python, bundle: x.bundle,",
        "algorithm.bundle: x.bundle is not here.",
    ),
    "an invalid limit": ({}, "memory: 256MiB", "memory: much", "'much' is not a size"),
    "an unknown member": ({}, "name: covid19", "name: covid19\nnames: 1", "names"),
    "a folder outside": ({}, "train.py", "../train.py", "outside the folder"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusal_names_the_place_and_the_remedy(folder: Path, what: str) -> None:
    mock, old, new, message = REFUSED[what]
    path = folder / "computation.yaml"
    path.write_text(path.read_text().replace(old, new) if old else path.read_text())
    found = data(folder) | {name: folder / file for name, file in mock.items()} if mock or old else {}
    with pytest.raises(InputError) as caught:
        compose_trial(path, found)

    assert message in caught.value.message
    assert caught.value.hint or caught.value.remedy
    assert caught.value.exit_code == 2


def test_all_missing_data_are_named_at_once(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        compose_trial(folder / "computation.yaml", {})

    assert caught.value.hint == "Name harmless data of the same form: --data h1=PATH --data h2=PATH."


def test_files_of_the_algorithm_are_taken_along(folder: Path) -> None:
    path = folder / "computation.yaml"
    path.write_text(path.read_text().replace("kind: python,", "kind: python, files: [{file: w.bin, at: w/x.bin}],"))
    with pytest.raises(InputError, match=r"w\.bin is not here"):
        compose_trial(path, data(folder))
    (folder / "w.bin").write_text("1")
    manifest, paths = compose_trial(path, data(folder))

    (file,) = manifest.algorithm.files
    assert paths[file.name] == folder / "w.bin"


def test_warnings_are_those_of_manifest_for_the_packages_of_the_tree(folder: Path) -> None:
    (folder / "train.py").rename(folder / "glob.py")
    path = folder / "computation.yaml"
    path.write_text(path.read_text().replace("train.py", "glob.py"))
    (folder / "glob.py").write_text("import os, sklearn, torch\nos.system('pip install torch')\n")
    given: list[str] = []
    compose_trial(path, data(folder), {"torch": "2.6.0"}, warnings=given)

    installs, lookalike, missing = given
    assert "glob.py, line 2: it installs packages" in installs
    assert "glob.py is named like the module glob" in lookalike
    assert "sklearn is not in the guest" in missing
