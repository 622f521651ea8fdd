"""Train one tumour classifier on the tables of several hospitals.

Runs in the sandbox, without a network: reads ``datasets/*.csv``, writes to ``results/``

- ``model.json``    the model, for ``predict.py``
- ``metrics.json``  its results on held-out cases, and those of each hospital alone on the same cases
- ``report.txt``    the same as a table, which is also printed

A table has the columns ``case`` (its name), ``fold`` (1 to 5, chosen by the hospital), any number of measurements, and
``diagnosis`` (``benign`` or ``malignant``). In round k no model is trained on fold k of any hospital, and every
model predicts fold k of all hospitals, so every case is held out once. The released model is trained on all cases.

The model is logistic regression on standardised measurements with an L2 penalty, fitted by Newton's method; the
penalty is chosen by cross-validation over the remaining folds. Nothing is random.
Needs numpy. Long because an algorithm is uploaded as one file.
"""

import argparse
import csv
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDS = (1, 2, 3, 4, 5)
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
CLASSES = ("benign", "malignant")
THRESHOLD = 0.5
_MINIMUM_OF_EACH_CLASS = 5
_LARGEST_NUMBER = 1e9
_NEWTON_STEPS = 100
_NEWTON_TOLERANCE = 1e-8

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]


class TableError(Exception):
    """A hospital's table is invalid. The message has file and line, but no value, since it may be logged."""


@dataclass(frozen=True)
class CaseTable:
    """Cases of one hospital or of several: ``x`` is (cases, measurements), ``y`` is 1 for malignant."""

    measurements: tuple[str, ...]
    cases: tuple[str, ...]
    x: Matrix
    y: Labels
    fold: Labels

    def only(self, mask: NDArray[np.bool_]) -> "CaseTable":
        """The cases that ``mask`` selects."""
        cases = tuple(case for case, chosen in zip(self.cases, mask, strict=True) if chosen)
        return CaseTable(self.measurements, cases, self.x[mask], self.y[mask], self.fold[mask])


@dataclass(frozen=True)
class Model:
    """Logistic regression: standardise by ``mean`` and ``scale``, then apply the weights."""

    mean: Vector
    scale: Vector
    weights: Vector
    intercept: float
    penalty: float

    def probability(self, x: Matrix) -> Vector:
        """Probability of malignant for each row of ``x``."""
        return _sigmoid(((x - self.mean) / self.scale) @ self.weights + self.intercept)


def read_table(path: Path) -> CaseTable:
    """Read one hospital's CSV. Raises TableError with file and line for the first error."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TableError(f"{path.name} is not UTF-8 text.") from error
    lines = csv.reader(text.splitlines(), strict=True)
    cases: list[str] = []
    folds: list[int] = []
    labels: list[int] = []
    rows: list[list[float]] = []
    try:
        header = next(lines, [])
        if len(header) < 4 or header[:2] != ["case", "fold"] or header[-1] != "diagnosis":
            raise TableError(f"{path.name} must have the columns case, fold, one or more measurements, diagnosis.")
        if len(set(header)) != len(header):
            raise TableError(f"{path.name} names a column twice.")
        for fields in lines:
            where = f"{path.name} line {lines.line_num}"
            if len(fields) != len(header):
                raise TableError(f"{where} has {len(fields)} fields instead of {len(header)}.")
            if fields[1] not in {str(fold) for fold in FOLDS}:
                raise TableError(f"{where}: the fold must be a number from {FOLDS[0]} to {FOLDS[-1]}.")
            if fields[-1] not in CLASSES:
                raise TableError(f"{where}: the diagnosis must be {' or '.join(CLASSES)}.")
            cases.append(fields[0])
            folds.append(int(fields[1]))
            labels.append(CLASSES.index(fields[-1]))
            rows.append([_number(field, name, where) for name, field in zip(header[2:-1], fields[2:-1], strict=True)])
    except csv.Error as error:
        raise TableError(f"{path.name} line {lines.line_num} is not CSV: {error}.") from error
    if not rows:
        raise TableError(f"{path.name} has no cases.")
    table = CaseTable(tuple(header[2:-1]), tuple(cases), np.array(rows), np.array(labels), np.array(folds))
    _check_classes(table, path.name)
    return table


def read_tables(folder: Path) -> dict[str, CaseTable]:
    """Read all tables of ``folder`` by hospital (the file's name without suffix), in the order of the names."""
    tables = {path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))}
    if not tables:
        raise TableError(f"{folder} has no CSV file.")
    first, *others = tables
    for name in others:
        if tables[name].measurements != tables[first].measurements:
            raise TableError(f"{name}.csv and {first}.csv do not have the same measurements in the same order.")
    seen: dict[str, str] = {}
    for name, table in tables.items():
        for line, case in enumerate(table.cases, start=2):
            if case in seen:
                raise TableError(f"The case in line {line} of {name}.csv is in {seen[case]}.csv already.")
            seen[case] = name
    return tables


def joined(tables: list[CaseTable]) -> CaseTable:
    """All cases of ``tables``, one after the other."""
    return CaseTable(
        tables[0].measurements,
        tuple(case for table in tables for case in table.cases),
        np.concatenate([table.x for table in tables]),
        np.concatenate([table.y for table in tables]),
        np.concatenate([table.fold for table in tables]),
    )


def fit(x: Matrix, y: Labels, penalty: float) -> Model:
    """Minimise the summed log loss plus ``penalty`` / 2 times the squared weights (without the intercept)."""
    mean = x.mean(axis=0)
    scale = x.std(axis=0)
    scale[scale == 0.0] = 1.0
    design = np.column_stack([np.ones(len(x)), (x - mean) / scale])
    ridge = np.full(design.shape[1], penalty)
    ridge[0] = 0.0

    def loss(weights: Vector) -> float:
        score = design @ weights
        return float(np.sum(np.logaddexp(0.0, score) - y * score) + 0.5 * np.sum(ridge * weights**2))

    weights = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = _sigmoid(design @ weights)
        gradient = design.T @ (p - y) + ridge * weights
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        # Far from the minimum a full step can overshoot; halving it often enough never does (the loss is convex).
        current = loss(weights)
        while loss(weights - step) > current and np.max(np.abs(step)) > _NEWTON_TOLERANCE:
            step = step / 2.0
        weights = weights - step
        if np.max(np.abs(step)) <= _NEWTON_TOLERANCE:
            break
    return Model(mean, scale, weights[1:], float(weights[0]), penalty)


def train(table: CaseTable) -> Model:
    """Choose the penalty by cross-validation over the folds in ``table``, then fit on all its cases."""
    losses = dict.fromkeys(PENALTIES, 0.0)
    for fold in sorted(set(table.fold.tolist())):
        inside, outside = table.only(table.fold != fold), table.only(table.fold == fold)
        for penalty in PENALTIES:
            losses[penalty] += float(
                np.sum(_log_losses(fit(inside.x, inside.y, penalty).probability(outside.x), outside.y))
            )
    return fit(table.x, table.y, min(losses, key=lambda penalty: losses[penalty]))


def held_out_probabilities(training: CaseTable, table: CaseTable) -> Vector:
    """Probability for every case of ``table`` by models trained on ``training`` without that case's fold."""
    probabilities = np.zeros(len(table.y))
    for fold in FOLDS:
        held_out = table.fold == fold
        if held_out.any():
            probabilities[held_out] = train(training.only(training.fold != fold)).probability(table.x[held_out])
    return probabilities


def metrics(probability: Vector, y: Labels) -> dict[str, float | int]:
    """The quality of predictions; rates are between 0 and 1, ``wrong`` counts cases."""
    malignant = probability >= THRESHOLD
    positive, negative = probability[y == 1], probability[y == 0]
    # AUC: the share of pairs (malignant, benign) in the right order; a tie counts half.
    pairs = np.sum(positive[:, None] > negative) + 0.5 * np.sum(positive[:, None] == negative)
    return {
        "accuracy": _round(np.mean(malignant == (y == 1))),
        "auc": _round(pairs / (len(positive) * len(negative))),
        "sensitivity": _round(np.mean(malignant[y == 1])),
        "specificity": _round(np.mean(~malignant[y == 0])),
        "log_loss": _round(np.mean(_log_losses(probability, y))),
        "wrong": int(np.sum(malignant != (y == 1))),
    }


def model_document(model: Model, tables: dict[str, CaseTable]) -> dict[str, object]:
    """The model as JSON. Ten digits are kept, so that the order of additions on another CPU makes no difference."""
    names = next(iter(tables.values())).measurements
    return {
        "version": 1,
        "kind": "logistic-regression",
        "classes": list(CLASSES),
        "threshold": THRESHOLD,
        "penalty": model.penalty,
        "intercept": _round(model.intercept, 10),
        "measurements": [
            {"name": name, "mean": _round(mean, 10), "scale": _round(scale, 10), "weight": _round(weight, 10)}
            for name, mean, scale, weight in zip(names, model.mean, model.scale, model.weights, strict=True)
        ],
        "trained_on": {name: len(table.y) for name, table in tables.items()},
    }


def metrics_document(tables: dict[str, CaseTable]) -> dict[str, object]:
    """Held-out figures of the joint model and of each hospital alone, all on the same cases."""
    all_cases = joined(list(tables.values()))
    return {
        "version": 1,
        "cases": len(all_cases.y),
        "malignant": int(np.sum(all_cases.y)),
        "hospitals": {name: {"cases": len(t.y), "malignant": int(np.sum(t.y))} for name, t in tables.items()},
        "joint": metrics(held_out_probabilities(all_cases, all_cases), all_cases.y),
        "alone": {name: metrics(held_out_probabilities(t, all_cases), all_cases.y) for name, t in tables.items()},
    }


def report(document: dict) -> str:
    """The metrics document as a table for people."""
    lines = [
        f"{document['cases']} cases, {document['malignant']} of them malignant; each was held out once.",
        "",
        f"{'trained on':<14}{'cases':>6}{'malignant':>11}{'accuracy':>10}{'AUC':>8}"
        f"{'sensitivity':>13}{'specificity':>13}{'wrong':>7}",
    ]
    parts = [(f"{name} alone", document["hospitals"][name], found) for name, found in document["alone"].items()]
    for name, size, found in [*parts, ("all together", document, document["joint"])]:
        lines.append(
            f"{name:<14}{size['cases']:>6}{size['malignant']:>11}{found['accuracy']:>10.1%}{found['auc']:>8.4f}"
            f"{found['sensitivity']:>13.1%}{found['specificity']:>13.1%}{found['wrong']:>7}"
        )
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Read, train, write. Returns 0, or 2 after one sentence on standard error if a table is invalid."""
    parser = argparse.ArgumentParser(description="Train one tumour classifier on the tables of several hospitals.")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder with the tables")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the results")
    options = parser.parse_args(argv)
    try:
        tables = read_tables(options.datasets)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    found = metrics_document(tables)
    model = train(joined(list(tables.values())))
    options.results.mkdir(parents=True, exist_ok=True)
    _write_json(options.results / "model.json", model_document(model, tables))
    _write_json(options.results / "metrics.json", found)
    text = report(found)
    (options.results / "report.txt").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def _number(field: str, column: str, where: str) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST_NUMBER:
        raise TableError(f"{where}: column {column!r} is not a number of at most {_LARGEST_NUMBER:.0e}.")
    return value


def _check_classes(table: CaseTable, name: str) -> None:
    # Two folds can be excluded at once (one held out, one to choose the penalty): both classes must remain.
    for number, label in enumerate(CLASSES):
        of_class = table.fold[table.y == number]
        largest = sum(sorted((int(np.sum(of_class == fold)) for fold in FOLDS), reverse=True)[:2])
        if len(of_class) - largest < _MINIMUM_OF_EACH_CLASS:
            raise TableError(
                f"{name}: fewer than {_MINIMUM_OF_EACH_CLASS} {label} cases remain without two of the folds."
            )


def _sigmoid(score: Vector) -> Vector:
    return 0.5 * (1.0 + np.tanh(0.5 * score))


def _log_losses(probability: Vector, y: Labels) -> Vector:
    p = np.clip(probability, 1e-12, 1.0 - 1e-12)
    return -np.where(y == 1, np.log(p), np.log(1.0 - p))


def _round(value: float | np.floating, digits: int = 6) -> float:
    return float(f"{float(value):.{digits}g}")


def _write_json(path: Path, document: dict[str, object]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
