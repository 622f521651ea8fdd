"""The results of train.py on the real cases, and its errors for invalid tables."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TUMOUR = Path(__file__).parents[2] / "examples" / "tumour"


def train(folder: Path) -> tuple[int, str, str]:
    """Exit status, output and errors of ``train.py``, started in ``folder`` as the guest starts it."""
    argv = [sys.executable, "-W", "error", TUMOUR / "train.py"]
    done = subprocess.run(argv, check=False, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def table(name: str, cases: int = 60) -> list[str]:
    """The lines of a made-up table with two measurements, separable except for one case in seven."""
    lines = ["case,fold,radius,texture,diagnosis"]
    for number in range(cases):
        malignant = number % 3 == 0
        radius = number % 10 + (4 if malignant != (number % 7 == 0) else 0)
        lines.append(
            f"{name}-{number},{number % 5 + 1},{radius},{number % 4}.5,{'malignant' if malignant else 'benign'}"
        )
    return lines


def write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / "datasets").mkdir(exist_ok=True)
    (folder / "datasets" / f"{name}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def trained(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder after training on the real cases, and what was printed."""
    folder = tmp_path_factory.mktemp("trained")
    for number in (1, 2, 3):
        write(folder, f"h{number}", (prepared / f"hospital-{number}" / f"h{number}.csv").read_text().splitlines())
    status, printed, errors = train(folder)
    assert (status, errors) == (0, "")
    return folder, printed


def test_figures_match_the_readme(trained: tuple[Path, str]) -> None:
    folder, printed = trained
    assert printed == (folder / "results" / "report.txt").read_text()
    assert printed in (TUMOUR / "README.md").read_text()


def test_joint_model_beats_every_hospital_alone_on_the_same_cases(trained: tuple[Path, str]) -> None:
    found = json.loads((trained[0] / "results" / "metrics.json").read_text())
    assert list(found["alone"]) == ["h1", "h2", "h3"]
    for alone in found["alone"].values():
        for measure in ("accuracy", "auc", "sensitivity", "specificity"):
            assert found["joint"][measure] > alone[measure]
        assert found["joint"]["log_loss"] < alone["log_loss"]


def test_lab_predicts_its_new_patient(trained: tuple[Path, str], prepared: Path) -> None:
    argv = [
        sys.executable,
        "-I",
        TUMOUR / "predict.py",
        trained[0] / "results" / "model.json",
        prepared / "lab" / "case.json",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("The predicted class for this case is: malignant\n")


def test_training_twice_gives_the_same_bytes(trained: tuple[Path, str], tmp_path: Path) -> None:
    first = {path.name: path.read_bytes() for path in (trained[0] / "results").iterdir()}
    argv = [
        sys.executable,
        TUMOUR / "train.py",
        "--datasets",
        trained[0] / "datasets",
        "--results",
        tmp_path / "new" / "results",
    ]
    subprocess.run(argv, check=True, capture_output=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "results").iterdir()} == first


def test_fit_is_the_minimum(tumour_train: ModuleType) -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(80, 3)) * [1.0, 50.0, 0.01]
    y = (x[:, 0] + generator.normal(size=80) > 0).astype(int)
    model = tumour_train.fit(x, y, 2.0)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    residual = model.probability(x) - y
    assert np.allclose(z.T @ residual + 2.0 * model.weights, 0.0, atol=1e-6)
    assert abs(residual.sum()) < 1e-6


def test_metrics_of_known_predictions(tumour_train: ModuleType) -> None:
    probability = np.array([0.9, 0.5, 0.2, 0.6, 0.2, 0.1])
    assert tumour_train.metrics(probability, np.array([1, 1, 1, 0, 0, 0])) == {
        "accuracy": 0.666667,
        "auc": 0.722222,  # of nine pairs six in order, and one tie
        "sensitivity": 0.666667,
        "specificity": 0.666667,
        "log_loss": 0.60879,
        "wrong": 2,
    }


def test_constant_measurement_is_accepted(tmp_path: Path) -> None:
    for name in ("h1", "h2"):
        head, *lines = table(name)
        write(tmp_path, name, [head, *(",".join([*line.split(",")[:3], "7", line.split(",")[4]]) for line in lines)])
    assert train(tmp_path)[0] == 0
    weights = json.loads((tmp_path / "results" / "model.json").read_text())["measurements"]
    assert [weight["weight"] for weight in weights if weight["name"] == "texture"] == [0.0]


@pytest.mark.parametrize(
    ("line", "text", "said"),
    [
        (0, "case,fold,radius", "h2.csv must have the columns case, fold, one or more measurements, diagnosis."),
        (0, "case,fold,radius,radius,diagnosis", "h2.csv names a column twice."),
        (
            0,
            "case,fold,radius,Texture,diagnosis",
            "h2.csv and h1.csv do not have the same measurements in the same order.",
        ),
        (3, "h2-x,1,2.0,3.0", "h2.csv line 4 has 4 fields instead of 5."),
        (3, "", "h2.csv line 4 has 0 fields instead of 5."),
        (3, "h2-x,6,2.0,3.0,benign", "h2.csv line 4: the fold must be a number from 1 to 5."),
        (3, "h2-x,1,2.0,3.0,Benign", "h2.csv line 4: the diagnosis must be benign or malignant."),
        (3, "h2-x,1,secret,3.0,benign", "h2.csv line 4: column 'radius' is not a number of at most 1e+09."),
        (3, "h2-x,1,nan,3.0,benign", "h2.csv line 4: column 'radius' is not a number of at most 1e+09."),
        (3, "h2-x,1,2.0,-1e300,benign", "h2.csv line 4: column 'texture' is not a number of at most 1e+09."),
        (3, '"h2-x,1,2.0,3.0,benign', "h2.csv line 61 is not CSV: unexpected end of data."),
        (3, "h1-5,1,2.0,3.0,benign", "The case in line 4 of h2.csv is in h1.csv already."),
    ],
)
def test_malformed_table_gives_one_sentence_without_values(tmp_path: Path, line: int, text: str, said: str) -> None:
    write(tmp_path, "h1", table("h1"))
    lines = table("h2")
    lines[line] = text
    write(tmp_path, "h2", lines)
    assert train(tmp_path) == (2, "", f"{said}\n")
    assert not (tmp_path / "results").exists()


def test_too_few_cases_of_a_class_are_rejected(tmp_path: Path) -> None:
    write(tmp_path, "h1", table("h1", cases=20))
    assert train(tmp_path)[0] == 2
    assert train(tmp_path)[2] == "h1.csv: fewer than 5 malignant cases remain without two of the folds.\n"


def test_folder_without_tables_is_rejected(tmp_path: Path) -> None:
    assert train(tmp_path) == (2, "", "datasets has no CSV file.\n")
