"""Write the folders of the four parties: ``python examples/chest-xray/prepare.py out/chest-xray``.

The pictures are drawn (``radiographs.py``), always the same ones, and divided as hospitals differ, in the patients they
see and in the machine that takes the picture:

    hospital      COVID  Normal  Viral Pneumonia
    hospital-1       36      84               36     a screening centre with a new machine
    hospital-2       72      36               36     a COVID ward: pictures taken at the bedside
    hospital-3       36      36               60     a small hospital with an old machine

``--source FOLDER`` takes real pictures instead: either class folders, which are divided among the three hospitals in
turn, or three folders or zips with class folders, one for each hospital. Pictures may lie in a subfolder ``images``, as
in the COVID-19 Radiography Database. The lab keeps one picture of each class to predict.
"""

import argparse
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import radiographs

from cloister.errors import InputError
from examples import folders

HERE = Path(__file__).resolve().parent
HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")
CLASSES = ("COVID", "Normal", "Viral Pneumonia")
COUNTS = {"h1": (36, 84, 36), "h2": (72, 36, 36), "h3": (36, 36, 60)}
LARGEST = {"COVID": 3616, "Normal": 10192, "Viral Pneumonia": 1345}
"""Pictures are numbered up to these, as in the COVID-19 Radiography Database."""

NEW = {"COVID": 2, "Normal": 41, "Viral Pneumonia": 1014}
"""The numbers of the pictures that the lab keeps."""

LAB_FILES = ("train.py", "network.py", "predict.py")
WEIGHTS = "weights/hub/checkpoints/resnet18-f37072fd.pth"
"""Where PyTorch looks for the weights of ResNet-18 below TORCH_HOME."""

_SEED = 11
_SIZE, _SMALL_SIZE = 128, 48
_SMALL_SHARE = 3
_LARGEST_PICTURE = 64 * 1024 * 1024

Pictures = dict[str, bytes]
"""The files of a hospital: ``COVID/COVID-12.png`` and so on."""


def draw(*, small: bool) -> tuple[dict[str, Pictures], Pictures]:
    """The pictures of each hospital, and the lab's."""
    size = _SMALL_SIZE if small else _SIZE
    rng = np.random.default_rng(_SEED)
    numbers = {
        name: iter(rng.permutation([n for n in range(1, LARGEST[name] + 1) if n != NEW[name]])) for name in CLASSES
    }
    hospitals: dict[str, Pictures] = {}
    for hospital, counts in COUNTS.items():
        made = hospitals[hospital] = {}
        for kind, count in zip(CLASSES, counts, strict=True):
            for _ in range(count // _SMALL_SHARE if small else count):
                picture = radiographs.draw(kind, radiographs.DEVICES[hospital], size, rng)
                made[f"{kind}/{kind}-{next(numbers[kind])}.png"] = picture
    new = {
        f"{kind}/{kind}-{NEW[kind]}.png": radiographs.draw(
            kind, radiographs.DEVICES["h1"], size, rng, radiographs.CLEAR
        )
        for kind in CLASSES
    }
    return hospitals, new


def collect(source: Path) -> tuple[dict[str, Pictures], Pictures]:
    """The pictures below ``source``, divided among the hospitals, and the lab's. Raises InputError."""
    if not source.is_dir():
        raise InputError(f"{source} is not a folder.", hint=_shape())
    if all((source / kind).is_dir() for kind in CLASSES):
        return _deal(_read(source))
    parts = sorted(path for path in source.iterdir() if path.is_dir() or path.suffix == ".zip")
    if len(parts) != len(HOSPITALS):
        raise InputError(f"{source} has {len(parts)} folders and zips instead of {len(HOSPITALS)}.", hint=_shape())
    hospitals = {f"h{number}": _read(part) for number, part in enumerate(parts, start=1)}
    new: Pictures = {}
    for kind in CLASSES:
        first = min(name for name in hospitals["h1"] if name.startswith(f"{kind}/"))
        new[first] = hospitals["h1"].pop(first)
    return hospitals, new


def prepare(output: Path, *, small: bool, source: Path | None, weights: Path | None, model: str) -> list[Path]:
    """Write every party's files below ``output``, replacing older ones; returns their paths.

    ``small`` is what an emulated processor can do: small pictures, fewer of them, and the small model. ``weights`` is a
    file for ResNet-18. Raises InputError.
    """
    if weights is not None:
        if small or model == "small":
            raise InputError("The small model takes no weights.", hint="Omit --weights, --small and --model small.")
        folders.regular_file(weights, "the weights of ResNet-18")
    hospitals, new = collect(source) if source else draw(small=small)
    lab = output / "lab"
    data = {
        name: folders.write_zip(output / hospital / f"{name}.zip", pictures)
        for hospital, (name, pictures) in zip(HOSPITALS, hospitals.items(), strict=True)
    }
    for old in (lab / "test", lab / "weights"):
        shutil.rmtree(old, ignore_errors=True)
    written = [*data.values(), *(folders.write(lab / "test" / name, picture) for name, picture in new.items())]
    written += folders.copy(LAB_FILES, HERE, lab)
    files = [{"file": "network.py", "at": "network.py"}]
    if model == "small" or small:
        size, epochs = ("32", "10") if small else ("96", "12")
        args = ["--model", "small", "--size", size, "--epochs", epochs]
    else:
        args = ["--model", "resnet18", "--size", "96", "--epochs", "4"]
    if weights is not None:
        target = lab / WEIGHTS
        target.parent.mkdir(parents=True)
        written.append(Path(shutil.copyfile(weights, target)))
        files.append({"file": WEIGHTS, "at": WEIGHTS})
        args += ["--weights", WEIGHTS]
    changed = {"args": args, "files": files}
    limits = {"memory": "1GiB"} if small else {}
    if small:
        # Two threads only wait for each other on pictures of this size.
        changed["environment"] = {"OMP_NUM_THREADS": "1"}
    written.append(folders.write_manifest(HERE / "manifest.yaml", lab, data, algorithm=changed, limits=limits))
    shown = [f"datasets/test/{name}" for name in new if not name.startswith("Normal/")]
    words = {"args": ["--model", "model.pth", "--image", *shown]}
    written.append(folders.write_manifest(HERE / "predict.yaml", lab, algorithm=words))
    return written


def main() -> int:
    """Write the folders and print the paths of the files."""
    parser = argparse.ArgumentParser(description="Write the folders of the four parties of the chest X-ray example.")
    parser.add_argument("output", type=Path, help="folder that gets lab/, hospital-1/, hospital-2/ and hospital-3/")
    parser.add_argument("--small", action="store_true", help="less data and the small model, for an emulated processor")
    parser.add_argument("--source", type=Path, help="folder with real pictures instead of drawn ones")
    parser.add_argument("--weights", type=Path, help="file with the weights of ResNet-18 to start from")
    parser.add_argument("--model", choices=("resnet18", "small"), default="resnet18")
    return folders.script(
        parser,
        lambda chosen: prepare(
            chosen.output, small=chosen.small, source=chosen.source, weights=chosen.weights, model=chosen.model
        ),
    )


def _shape() -> str:
    return f"It must have the folders {', '.join(CLASSES)}, or three folders or zips that have them."


def _read(part: Path) -> Pictures:
    """The pictures of one folder or zip by class. Raises InputError."""
    if part.suffix == ".zip":
        try:
            with zipfile.ZipFile(part) as archive, tempfile.TemporaryDirectory() as folder:
                archive.extractall(folder)
                return _read(Path(folder))
        except (zipfile.BadZipFile, OSError, RuntimeError) as error:
            raise InputError(f"{part} cannot be unpacked: {error}", hint=_shape()) from error
    found: Pictures = {}
    for kind in CLASSES:
        folder = part / kind / "images" if (part / kind / "images").is_dir() else part / kind
        pictures = [path for path in sorted(folder.glob("*.png")) if path.stat().st_size <= _LARGEST_PICTURE]
        if len(pictures) < 8:
            raise InputError(f"{folder} has {len(pictures)} PNG pictures; at least 8 are needed.", hint=_shape())
        found |= {f"{kind}/{path.name}": path.read_bytes() for path in pictures}
    return found


def _deal(pictures: Pictures) -> tuple[dict[str, Pictures], Pictures]:
    """Divide pictures among the hospitals: of ten pictures of a class, each hospital gets its share."""
    turns = {"COVID": "1222222333", "Normal": "1111112333", "Viral Pneumonia": "1112233333"}
    hospitals: dict[str, Pictures] = {"h1": {}, "h2": {}, "h3": {}}
    new: Pictures = {}
    for kind in CLASSES:
        first, *names = (name for name in pictures if name.startswith(f"{kind}/"))
        new[first] = pictures[first]
        for turn, name in enumerate(names):
            hospitals[f"h{turns[kind][turn % 10]}"][name] = pictures[name]
    return hospitals, new


if __name__ == "__main__":
    raise SystemExit(main())
