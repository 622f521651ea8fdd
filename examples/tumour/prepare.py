"""Write the folders of the four parties: ``python examples/tumour/prepare.py out/demo``.

The cases are the Breast Cancer Wisconsin (Diagnostic) table (W. H. Wolberg, W. N. Street, O. L. Mangasarian, 1995;
CC BY 4.0): 569 fine-needle aspirates, 30 measurements of their cell nuclei each, and the diagnosis. They are not in
this repository but taken from the scikit-learn wheel that ``requirements-data.txt`` pins by hash.

The division imitates how hospitals differ: in the cases they see. The cases are ordered by the radius of their nuclei
and split into thirds; of every ten cases in a third, each hospital gets:

    hospital      small  medium  large
    hospital-1        8       6      2     a screening centre: many cases, mostly small ones
    hospital-2        0       2      6     an oncology centre: mostly referred, large ones
    hospital-3        2       2      2     a district hospital: few cases of every kind

Each hospital numbers its cases 1, 2, 3, 4, 5, 1, ...: the round in which a case is held out (``train.py``).
The first case of the table goes to no hospital: it is the lab's new patient, whose class is predicted at the end.
"""

import argparse
import csv
import io
import json
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cloister.client.packages.requirements import read_requirements
from cloister.client.packages.wheels import fetch_wheels
from cloister.errors import InputError
from examples import folders

HERE = Path(__file__).resolve().parent
TABLE = "sklearn/datasets/data/breast_cancer.csv"
TABLE_SHA256 = "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed"
HOSPITALS = ("hospital-1", "hospital-2", "hospital-3")
# The hospital of each of ten consecutive cases, for the thirds with the smallest, the medium and the largest nuclei.
TURNS = ("1111111133", "1111112233", "1122222233")
FOLDS = 5
LAB_FILES = ("train.py", "predict.py", "requirements.txt", "manifest.yaml")
# Of each measure the mean over the nuclei, its standard error, and the mean of the three largest.
_MEASURES = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip
MEASUREMENTS = tuple(form.format(measure) for form in ("mean {}", "{} error", "worst {}") for measure in _MEASURES)
CLASSES = ("malignant", "benign")


@dataclass(frozen=True)
class Case:
    """One row of the table; ``values`` are the 30 measurements as the table writes them."""

    name: str
    values: tuple[str, ...]
    diagnosis: str

    @property
    def radius(self) -> float:
        """Mean radius of the nuclei, by which hospitals differ."""
        return float(self.values[0])


def read_cases(table: bytes) -> list[Case]:
    """The cases of scikit-learn's CSV: a line with counts and classes, then 30 measurements and a class number each."""
    found = sha256(table).hexdigest()
    if found != TABLE_SHA256:
        raise InputError(f"{TABLE} has the SHA-256 {found}, expected {TABLE_SHA256}.")
    _, *rows = csv.reader(io.StringIO(table.decode("ascii")))
    return [
        Case(f"wdbc-{number:03}", tuple(row[:-1]), CLASSES[int(row[-1])]) for number, row in enumerate(rows, start=1)
    ]


def deal(cases: list[Case]) -> dict[str, list[Case]]:
    """Divide ``cases`` among the three hospitals; each keeps the order of the table."""
    by_radius = sorted(cases, key=lambda case: (case.radius, case.name))
    bounds = [round(len(cases) * third / 3) for third in range(4)]
    chosen: dict[str, list[Case]] = {hospital: [] for hospital in HOSPITALS}
    for third, turns in enumerate(TURNS):
        group = sorted(by_radius[bounds[third] : bounds[third + 1]], key=lambda case: case.name)
        for turn, case in enumerate(group):
            chosen[HOSPITALS[int(turns[turn % len(turns)]) - 1]].append(case)
    return {hospital: sorted(group, key=lambda case: case.name) for hospital, group in chosen.items()}


def hospital_csv(cases: list[Case]) -> str:
    """A hospital's table as ``train.py`` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "fold", *MEASUREMENTS, "diagnosis"])
    for position, case in enumerate(cases):
        writer.writerow([case.name, position % FOLDS + 1, *case.values, case.diagnosis])
    return text.getvalue()


def case_json(case: Case) -> str:
    """One case without its diagnosis, as ``predict.py`` reads it."""
    values = {name: float(value) for name, value in zip(MEASUREMENTS, case.values, strict=True)}
    return json.dumps({"case": case.name, "measurements": values}, indent=1) + "\n"


def fetch_table() -> bytes:
    """scikit-learn's CSV from the pinned wheel, which is cached or downloaded by pip."""
    (wheel,) = fetch_wheels(read_requirements(HERE / "requirements-data.txt").locked())
    with zipfile.ZipFile(wheel.path) as archive:
        return archive.read(TABLE)


def prepare(output: Path) -> list[Path]:
    """Write every party's files below ``output``, replacing older ones; returns their paths."""
    new_case, *cases = read_cases(fetch_table())
    written = [
        folders.write(output / hospital / f"h{number}.csv", hospital_csv(group))
        for number, (hospital, group) in enumerate(deal(cases).items(), start=1)
    ]
    written.append(folders.write(output / "lab" / "case.json", case_json(new_case)))
    return written + folders.copy(LAB_FILES, HERE, output / "lab")


def main() -> int:
    """Write the folders and print the paths of the files."""
    parser = argparse.ArgumentParser(description="Write the folders of the four parties of the tumour example.")
    parser.add_argument("output", type=Path, help="folder that gets lab/, hospital-1/, hospital-2/ and hospital-3/")
    return folders.script(parser, lambda chosen: prepare(chosen.output))


if __name__ == "__main__":
    raise SystemExit(main())
