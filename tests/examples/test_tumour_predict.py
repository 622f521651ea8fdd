"""The consumer's prediction, with only Python."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PREDICT = Path(__file__).parents[2] / "examples" / "tumour" / "predict.py"
MODEL = {
    "version": 1,
    "kind": "logistic-regression",
    "classes": ["benign", "malignant"],
    "threshold": 0.5,
    "penalty": 1.0,
    "intercept": -1.0,
    "measurements": [
        {"name": "radius", "mean": 10.0, "scale": 2.0, "weight": 3.0},
        {"name": "texture", "mean": 1.0, "scale": 0.5, "weight": -1.0},
    ],
    "trained_on": {"h1": 3},
}
NAN = float("nan")


def predict(folder: Path, model: object, case: object) -> tuple[int, str, str]:
    """Exit status, output and errors of ``predict.py`` in an interpreter without any package."""
    (folder / "model.json").write_text(json.dumps(model))
    (folder / "case.json").write_text(json.dumps(case))
    argv = [sys.executable, "-I", "-S", PREDICT, "model.json", "case.json"]
    done = subprocess.run(argv, check=False, cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("radius", "chance", "predicted"),
    # Scores: 3 * (r - 10) / 2 - (2 - 1) / 0.5 - 1 = 1.5 r - 18, and the logistic function of them.
    [
        (12.5, "67.9%", "malignant"),
        (12, "50.0%", "malignant"),
        (11.5, "32.1%", "benign"),
        (99, "more than 99.9%", "malignant"),
    ],
)
def test_probability_and_class(tmp_path: Path, radius: float, chance: str, predicted: str) -> None:
    case = {"case": "wdbc-001", "measurements": {"texture": 2, "radius": radius}}
    status, printed, errors = predict(tmp_path, MODEL, case)
    assert (status, errors) == (0, "")
    assert printed.splitlines() == [
        f"Case wdbc-001: malignant with a probability of {chance}.",
        f"The predicted class for this case is: {predicted}",
    ]


@pytest.mark.parametrize(
    ("model", "case", "said"),
    [
        (MODEL, {"measurements": {"radius": 1}}, "The case and the model differ in their measurements: texture.\n"),
        (MODEL, {"measurements": {"radius": 1, "texture": "2"}}, "The case's texture is not a finite number.\n"),
        (MODEL, {"measurements": {"radius": NAN, "texture": 2}}, "The case's radius is not a finite number.\n"),
        (MODEL, {}, "The case has no measurements.\n"),
        (MODEL, [], "case.json is not a JSON object.\n"),
        ({**MODEL, "version": 2}, {}, "The model is not a logistic regression of version 1.\n"),
        (
            {**MODEL, "classes": None},
            {"measurements": {"radius": 1, "texture": 2}},
            "model.json is not a model of train.py.\n",
        ),
    ],
)
def test_invalid_input_gives_one_sentence(tmp_path: Path, model: object, case: object, said: str) -> None:
    assert predict(tmp_path, model, case) == (2, "", said)


def test_missing_file_gives_one_sentence(tmp_path: Path) -> None:
    argv = [sys.executable, PREDICT, "none.json", "case.json"]
    done = subprocess.run(argv, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "none.json cannot be read: No such file or directory.\n")
