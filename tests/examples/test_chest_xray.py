"""The chest X-ray example: its pictures, how real ones are divided, and what its manifest says."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cloister.errors import InputError
from tests.examples.conftest import load

CLASSES = ("COVID", "Normal", "Viral Pneumonia")
ZIPS = ("hospital-1/h1.zip", "hospital-2/h2.zip", "hospital-3/h3.zip")
SMALLEST_OF_OTHERS = 30
"""The pictures of a class and hospital that the public program of this shape needs."""


def prepare(output: Path, **options: object) -> list[Path]:
    chosen = {"small": False, "source": None, "weights": None, "model": "resnet18", **options}
    return load("chest-xray", "prepare").prepare(output, **chosen)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chest-xray")
    prepare(folder, small=True)
    return folder


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def manifest(folder: Path, name: str = "manifest.yaml") -> dict:
    return yaml.safe_load((folder / "lab" / name).read_text())


def test_preparing_twice_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    written = prepare(tmp_path, small=True)

    assert {path.relative_to(tmp_path): path.read_bytes() for path in written} == {
        path.relative_to(small): path.read_bytes() for path in small.rglob("*") if path.is_file()
    }


def test_every_hospital_has_grey_pictures_of_every_class(small: Path) -> None:
    for zipped in ZIPS:
        found = members(small / zipped)
        for kind in CLASSES:
            names = [name for name in found if re.fullmatch(rf"{kind}/{kind}-\d+\.png", name)]
            assert len(names) >= 12
            with Image.open(io.BytesIO(found[names[0]])) as picture:
                assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (48, 48))


def test_no_picture_is_in_two_places(small: Path) -> None:
    names = [name for zipped in ZIPS for name in members(small / zipped)]
    names += [path.relative_to(small / "lab/test").as_posix() for path in (small / "lab/test").rglob("*.png")]

    assert len(names) == len(set(names))
    assert {"COVID/COVID-2.png", "Viral Pneumonia/Viral Pneumonia-1014.png"} <= set(names)


def test_hospitals_have_enough_pictures_for_the_public_program() -> None:
    assert min(min(counts) for counts in load("chest-xray", "prepare").COUNTS.values()) >= SMALLEST_OF_OTHERS


def brightness(data: bytes) -> np.ndarray:
    """How bright the outer lower parts of the lungs are, and those around the hilum, against the whole picture."""
    picture = np.asarray(Image.open(io.BytesIO(data)), float)
    row, column = np.mgrid[0 : len(picture), 0 : len(picture)] / len(picture)
    aside = np.abs(column - 0.5)
    outer = (row > 0.55) & (row < 0.8) & (aside > 0.25) & (aside < 0.36)
    inner = (row > 0.36) & (row < 0.6) & (aside > 0.09) & (aside < 0.18)
    scaled = (picture - picture.mean()) / picture.std()
    return np.array([scaled[outer].mean(), scaled[inner].mean()])


def test_illnesses_show_in_different_parts_of_the_lungs(small: Path) -> None:
    for zipped in ZIPS:
        found = members(small / zipped)
        mean = {
            kind: np.mean([brightness(data) for name, data in found.items() if name.startswith(kind)], axis=0)
            for kind in CLASSES
        }
        covid, pneumonia = mean["COVID"] - mean["Normal"], mean["Viral Pneumonia"] - mean["Normal"]
        assert covid[0] > 0.05
        assert pneumonia[1] > 0.05
        assert covid[0] - covid[1] > pneumonia[0] - pneumonia[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["--model", "resnet18", "--size", "96"]),
        ({"model": "small"}, ["--model", "small", "--size", "96"]),
        ({"small": True}, ["--model", "small", "--size", "32"]),
    ],
)
def test_manifest_runs_the_chosen_model(tmp_path: Path, monkeypatch, options: dict, words: list[str]) -> None:
    module = load("chest-xray", "prepare")
    monkeypatch.setattr(module, "COUNTS", {"h1": (9, 9, 9), "h2": (9, 9, 9), "h3": (9, 9, 9)})
    prepare(tmp_path, **options)

    assert manifest(tmp_path)["algorithm"]["args"][:4] == words


def test_weights_are_a_file_of_the_algorithm_where_torchvision_looks(tmp_path: Path, small: Path) -> None:
    weights = tmp_path / "any name.pth"
    weights.write_bytes(b"weights")
    prepare(tmp_path / "out", weights=weights, source=_hospitals(tmp_path / "real", small))
    algorithm = manifest(tmp_path / "out")["algorithm"]

    at = "weights/hub/checkpoints/resnet18-f37072fd.pth"
    assert algorithm["files"][1] == {"file": at, "at": at}
    assert algorithm["args"][-2:] == ["--weights", at]
    assert algorithm["environment"]["TORCH_HOME"] == "/work/weights"
    assert (tmp_path / "out/lab" / at).read_bytes() == b"weights"


def test_the_small_model_takes_no_weights(tmp_path: Path, small: Path) -> None:
    weights = tmp_path / "w.pth"
    weights.touch()
    with pytest.raises(InputError, match=r"^The small model takes no weights\."):
        prepare(tmp_path / "out", weights=weights, model="small", source=_hospitals(tmp_path / "real", small))
    assert not (tmp_path / "out").exists()


def _hospitals(folder: Path, small: Path) -> Path:
    """Three folders with class folders, one of them zipped."""
    for zipped in ZIPS[:2]:
        with zipfile.ZipFile(small / zipped) as archive:
            archive.extractall(folder / Path(zipped).stem)
    (folder / "h3.zip").write_bytes((small / ZIPS[2]).read_bytes())
    return folder


def test_real_pictures_of_three_hospitals_stay_with_them(tmp_path: Path, small: Path) -> None:
    prepare(tmp_path / "out", source=_hospitals(tmp_path / "real", small))

    for zipped in ZIPS[1:]:
        assert members(tmp_path / "out" / zipped) == members(small / zipped)
    kept = {path.name for path in (tmp_path / "out/lab/test").rglob("*.png")}
    assert len(kept) == 3
    first, before = members(tmp_path / "out" / ZIPS[0]), members(small / ZIPS[0])
    assert {Path(name).name for name in set(before) - set(first)} == kept


@pytest.mark.parametrize("inside", ["", "images"])
def test_real_class_folders_are_divided(tmp_path: Path, small: Path, inside: str) -> None:
    before = members(small / ZIPS[0])
    for name, data in before.items():
        path = tmp_path / "real" / Path(name).parent / inside / Path(name).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    prepare(tmp_path / "out", source=tmp_path / "real")

    parts = [members(tmp_path / "out" / zipped) for zipped in ZIPS]
    assert all(parts)
    assert sum(map(len, parts)) == len(before) - 3
    predicted = manifest(tmp_path / "out", "predict.yaml")["algorithm"]["args"][3:]
    assert [(tmp_path / "out/lab" / name.removeprefix("datasets/")).is_file() for name in predicted] == [True, True]


REFUSED = {
    "no folder": (lambda folder: None, "is not a folder"),
    "an empty folder": (lambda folder: folder.mkdir(), "has 0 folders and zips instead of 3"),
    "too few pictures": (
        lambda folder: [(folder / kind).mkdir(parents=True) for kind in CLASSES],
        "has 0 PNG pictures; at least 8 are needed",
    ),
    "a damaged zip": (
        lambda folder: (folder.mkdir(), [(folder / f"h{n}.zip").write_bytes(b"PK") for n in (1, 2, 3)]),
        "h1.zip cannot be unpacked",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_source_of_another_shape_is_refused(tmp_path: Path, what: str) -> None:
    make, said = REFUSED[what]
    make(tmp_path / "real")
    with pytest.raises(InputError, match=said):
        prepare(tmp_path / "out", source=tmp_path / "real")
    assert not (tmp_path / "out").exists()
