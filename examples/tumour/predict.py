"""Predict one case with the model that ``train.py`` wrote: ``predict.py model.json case.json``.

Needs only Python. Prints the probability and, as its last line, ``The predicted class for this case is: ...``.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any


class PredictError(Exception):
    """The model or the case cannot be used."""


def probability(model: dict[str, Any], case: dict[str, Any]) -> float:
    """Probability that ``case`` belongs to the second class of ``model``. Raises PredictError."""
    if model.get("version") != 1 or model.get("kind") != "logistic-regression":
        raise PredictError("The model is not a logistic regression of version 1.")
    values = case.get("measurements")
    if not isinstance(values, dict):
        raise PredictError("The case has no measurements.")
    names = [measurement["name"] for measurement in model["measurements"]]
    if set(values) != set(names):
        differing = ", ".join(sorted(set(values) ^ set(names)))
        raise PredictError(f"The case and the model differ in their measurements: {differing}.")
    score = float(model["intercept"])
    for measurement in model["measurements"]:
        value = values[measurement["name"]]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise PredictError(f"The case's {measurement['name']} is not a finite number.")
        score += (value - measurement["mean"]) / measurement["scale"] * measurement["weight"]
    return 0.5 * (1.0 + math.tanh(0.5 * score))


def main(argv: list[str] | None = None) -> int:
    """Print the prediction. Returns 0, or 2 after one sentence on standard error if a file is invalid."""
    parser = argparse.ArgumentParser(description="Predict one case with the model that train.py wrote.")
    parser.add_argument("model", type=Path, help="model.json from the result")
    parser.add_argument("case", type=Path, help="case.json with the measurements of one case")
    options = parser.parse_args(argv)
    try:
        model, case = _read(options.model), _read(options.case)
        p = probability(model, case)
        benign, malignant = model["classes"]
        predicted = malignant if p >= model["threshold"] else benign
    except (PredictError, KeyError, TypeError, ValueError) as error:
        print(
            error if isinstance(error, PredictError) else f"{options.model} is not a model of train.py.",
            file=sys.stderr,
        )
        return 2
    chance = "more than 99.9%" if p > 0.999 else f"{p:.1%}"
    print(f"Case {case.get('case', 'without a name')}: {malignant} with a probability of {chance}.")
    print(f"The predicted class for this case is: {predicted}")
    return 0


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PredictError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise PredictError(f"{path} is not JSON.") from error
    if not isinstance(document, dict):
        raise PredictError(f"{path} is not a JSON object.")
    return document


if __name__ == "__main__":
    raise SystemExit(main())
