"""Train one fraud model on the transactions of several banks: gradient boosting.

Runs in the sandbox, without a network: reads ``datasets/*.csv``, one table a bank with the columns ``Time``, ``V1`` to
``V28``, ``Amount`` and ``Class`` (1 for a fraud). Writes to ``results/``

- ``fraud_model.ubj``   the model of all banks together, for ``predict.py``
- ``metrics.json``      how well it ranks later transactions, and how well the model of each bank alone does
- ``report.txt``        the same as a table, which is also printed
- ``roc.png``           the ROC curves of all models

The last quarter of each bank's time is held out: a model is trained on what was known by then, and tested on what came
after in all banks. Needs numpy, xgboost (xgboost-cpu) and matplotlib.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost

COLUMNS = ("Time", *(f"V{number}" for number in range(1, 29)), "Amount", "Class")
FEATURES = (*COLUMNS[1:-1], "Hour")
HELD_OUT = 0.75
"""The share of a bank's time that models are trained on."""

ALARMS = 0.02
"""The share of transactions that a bank can look into."""

SEED = 31
_FEWEST = 5
_SETTINGS = {
    "objective": "binary:logistic",
    "eval_metric": "aucpr",
    "max_depth": 4,
    "eta": 0.1,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "min_child_weight": 3,
    "tree_method": "hist",
    "seed": SEED,
}


class TransactionError(Exception):
    """A bank's table is invalid. The message has the file, but no value, since it may be logged."""


@dataclass(frozen=True)
class Transactions:
    """Transactions of one bank or of several: ``x`` has the columns FEATURES, ``y`` is 1 for a fraud."""

    x: np.ndarray
    y: np.ndarray


def read_bank(path: Path) -> tuple[Transactions, Transactions]:
    """The transactions of one bank: those to train on, and the later ones. Raises TransactionError."""
    with path.open(encoding="utf-8") as file:
        header = file.readline().strip().replace('"', "").split(",")
        if tuple(header) != COLUMNS:
            raise TransactionError(f"{path.name} must have the columns {', '.join(COLUMNS)}.")
        try:
            rows = np.loadtxt(file, delimiter=",", ndmin=2, quotechar='"')
        except ValueError as error:
            raise TransactionError(f"{path.name} is not a table of {len(COLUMNS)} columns of numbers.") from error
    if rows.shape[1:] != (len(COLUMNS),) or not np.isfinite(rows).all():
        raise TransactionError(f"{path.name} is not a table of {len(COLUMNS)} columns of finite numbers.")
    if not np.isin(rows[:, -1], (0, 1)).all():
        raise TransactionError(f"{path.name} has values other than 0 and 1 in the column Class.")
    hour = rows[:, 0] / 3600 % 24
    every = Transactions(np.column_stack([rows[:, 1:-1], hour]), rows[:, -1].astype(int))
    begun, ended = rows[:, 0].min(), rows[:, 0].max()
    early = rows[:, 0] < begun + HELD_OUT * (ended - begun)
    parts = Transactions(every.x[early], every.y[early]), Transactions(every.x[~early], every.y[~early])
    for part, which in zip(parts, ("the first three quarters", "the last quarter"), strict=True):
        if part.y.sum() < _FEWEST:
            raise TransactionError(f"{path.name} has fewer than {_FEWEST} frauds in {which} of its time.")
    return parts


def joined(parts: list[Transactions]) -> Transactions:
    """All transactions of ``parts``."""
    return Transactions(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def train(data: Transactions, options: argparse.Namespace) -> xgboost.Booster:
    """Gradient boosting on ``data``."""
    matrix = xgboost.DMatrix(data.x, data.y, feature_names=list(FEATURES))
    return xgboost.train(_SETTINGS | {"nthread": options.threads}, matrix, options.rounds)


def scores(model: xgboost.Booster, data: Transactions) -> np.ndarray:
    """The probability of fraud of each transaction."""
    return model.predict(xgboost.DMatrix(data.x, feature_names=list(FEATURES)))


def roc(score: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ROC curve: share of false alarms and share of frauds found, for every threshold."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # equal scores are one step
    found, false = np.cumsum(y[order])[last], np.cumsum(1 - y[order])[last]
    return np.append(0, false / false[-1]), np.append(0, found / found[-1])


def metrics(score: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """AUC of the ROC curve, average precision, and what is found among the most suspicious transactions."""
    false, found = roc(score, y)
    order = np.argsort(-score, kind="stable")
    hits = y[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    looked_at = round(len(y) * ALARMS)
    return {
        "auc": float(np.sum(np.diff(false) * (found[1:] + found[:-1]) / 2)),
        "average_precision": float(np.sum(precision * hits) / hits.sum()),
        "found": float(hits[:looked_at].sum() / hits.sum()),
        "threshold": float(score[order][looked_at - 1]),
    }


def report(document: dict) -> str:
    """The metrics document as a table for people."""
    lines = [
        f"{document['held_out']} later transactions of all banks, {document['held_out_frauds']} of them frauds.",
        "",
        f"{'trained on':<14}{'transactions':>13}{'frauds':>8}{'AUC':>8}{'avg. precision':>16}"
        f"{f'found by looking into {ALARMS:.0%}':>27}",
    ]
    rows = [(f"{name} alone", found) for name, found in document["alone"].items()]
    for name, found in [*rows, ("all together", document["joint"])]:
        lines.append(
            f"{name:<14}{found['transactions']:>13}{found['frauds']:>8}{found['auc']:>8.3f}"
            f"{found['average_precision']:>16.3f}{found['found']:>27.1%}"
        )
    return "\n".join(lines) + "\n"


def draw_roc(curves: dict[str, tuple[np.ndarray, np.ndarray]], labels: dict[str, str], path: Path) -> None:
    """The ROC curve of each model; the joint one, which comes last, in bold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.8, 5), layout="constrained")
    for number, (name, (false, found)) in enumerate(curves.items(), start=1):
        is_last = number == len(curves)
        width, colour = (2.4, "black") if is_last else (1.3, f"C{number - 1}")
        axes.plot(false, found, linewidth=width, color=colour, label=labels[name])
    axes.plot([0, 1], [0, 1], color="0.75", linewidth=1, linestyle="--", label="by chance")
    axes.set_xlabel("share of honest transactions that raise an alarm")
    axes.set_ylabel("share of frauds that are found")
    axes.set_title("Later transactions of all banks")
    axes.set_xlim(-0.005, 1)
    axes.set_ylim(0, 1.005)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Read, train, write. Returns 0, or 2 after one sentence on standard error if a table is invalid."""
    parser = argparse.ArgumentParser(description="Train one fraud model on the transactions of several banks.")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder with the tables")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--rounds", type=int, default=300, help="trees of a model")
    parser.add_argument("--threads", type=int, default=1, help="with one, every run writes the same bytes")
    options = parser.parse_args(argv)
    try:
        banks = {path.stem: read_bank(path) for path in sorted(options.datasets.glob("*.csv"))}
        if not banks:
            raise TransactionError(f"{options.datasets} has no CSV file.")
    except TransactionError as error:
        print(error, file=sys.stderr)
        return 2
    test = joined([later for _, later in banks.values()])
    curves = {}

    def judge(data: Transactions, name: str) -> tuple[xgboost.Booster, dict]:
        print(f"Training on {name}: {len(data.y)} transactions", flush=True)
        model = train(data, options)
        score = scores(model, test)
        curves[name] = roc(score, test.y)
        return model, {"transactions": len(data.y), "frauds": int(data.y.sum()), **metrics(score, test.y)}

    alone = {}
    if len(banks) > 1:
        alone = {name: judge(early, name)[1] for name, (early, _) in banks.items()}
    model, joint = judge(joined([early for early, _ in banks.values()]), "all together")
    document = {
        "held_out": len(test.y),
        "held_out_frauds": int(test.y.sum()),
        "features": list(FEATURES),
        "joint": joint,
        "alone": alone,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    model.set_attr(threshold=f"{joint['threshold']:.6g}")
    model.save_model(options.results / "fraud_model.ubj")
    (options.results / "metrics.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    labels = {name: f"{name} alone, AUC {found['auc']:.3f}" for name, found in alone.items()}
    draw_roc(curves, {**labels, "all together": f"all together, AUC {joint['auc']:.3f}"}, options.results / "roc.png")
    text = report(document)
    (options.results / "report.txt").write_text(text, encoding="utf-8")
    print(f"\n{text}", end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
