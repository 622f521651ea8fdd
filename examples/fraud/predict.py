"""Find suspicious transactions: ``python predict.py --model results/fraud_model.ubj --transactions new.csv``.

Runs at a bank; needs numpy and xgboost. The table has the columns of ``train.py`` with or without ``Class``. Prints the
most suspicious transactions and writes the probability of each to ``./results/predictions.csv``.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import xgboost

COLUMNS = ("Time", *(f"V{number}" for number in range(1, 29)), "Amount")
RESULTS = Path("results")
_SHOWN = 5


class InvalidInput(Exception):
    """The model or the table cannot be used."""


def load(path: Path) -> tuple[xgboost.Booster, float]:
    """The model, and the probability from which on a transaction is suspicious. Raises InvalidInput."""
    if not path.is_file():
        raise InvalidInput(f"{path} does not exist.")
    model = xgboost.Booster()
    try:
        model.load_model(path)
        return model, float(model.attr("threshold") or "")
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise InvalidInput(f"{path} is not a model of train.py.") from error


def read_table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The features of each transaction, and its amount. Raises InvalidInput."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        values = np.array([[float(row[name]) for name in COLUMNS] for row in rows])
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is not a table with the columns {', '.join(COLUMNS)}.") from error
    if not len(values):
        raise InvalidInput(f"{path} has no transactions.")
    return np.column_stack([values[:, 1:], values[:, 0] / 3600 % 24]), values[:, -1]


def main(argv: list[str] | None = None) -> int:
    """Predict each transaction. Returns 0, or 2 after one sentence on standard error if a file is invalid."""
    parser = argparse.ArgumentParser(description="Find suspicious transactions with the model of train.py.")
    parser.add_argument("--model", type=Path, required=True, help="fraud_model.ubj from the result")
    parser.add_argument("--transactions", type=Path, required=True, help="CSV with the transactions")
    options = parser.parse_args(argv)
    try:
        model, threshold = load(options.model)
        features, amounts = read_table(options.transactions)
    except InvalidInput as error:
        print(error, file=sys.stderr)
        return 2
    score = model.predict(xgboost.DMatrix(features, feature_names=model.feature_names))
    suspicious = [int(row) for row in np.argsort(-score, kind="stable") if score[row] >= threshold]
    print(f"{len(suspicious)} of {len(score)} transactions are suspicious.")
    for row in suspicious[:_SHOWN]:
        print(f"  line {row + 2}: {amounts[row]:.2f}, fraud with a probability of {score[row]:.1%}")
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / "predictions.csv"
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "probability", "suspicious"])
        writer.writerows([row + 2, f"{one:.6f}", int(one >= threshold)] for row, one in enumerate(score))
    print(f"Probabilities saved to ./{target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
