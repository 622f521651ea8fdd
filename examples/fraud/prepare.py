"""Write the folders of the four parties: ``python examples/fraud/prepare.py out/fraud``.

The transactions are drawn, always the same ones, in the shape of the table ``creditcard.csv`` that many know: ``Time``
in seconds, 28 anonymised measures ``V1`` to ``V28``, ``Amount``, and ``Class``, 1 for a fraud. Banks differ in three
ways: each has its own scale of the measures, since its customers and systems are other ones; the measures drift with
time, in each bank to another side; and each bank has met other kinds of fraud. Each table ends with frauds of all
kinds, as they spread from bank to bank: what happened to the neighbours happens here later.

    bank    transactions  known frauds                       frauds of the last quarter
    bank-1        24,000  card testing                       all three kinds
    bank-2        16,000  account takeover                   all three kinds
    bank-3        12,000  merchant fraud, some card testing  all three kinds

``--source FILE`` takes a real ``creditcard.csv`` instead and divides its rows in turn.
"""

import argparse
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloister.errors import InputError
from examples import folders

HERE = Path(__file__).resolve().parent
MEASURES = 28
HEADER = ",".join(["Time", *(f"V{number}" for number in range(1, MEASURES + 1)), "Amount", "Class"])
VENDOR_FILES = ("train.py", "requirements.txt", "requirements.lock")
BANK_FILES = ("predict.py", "requirements.lock")
_SEED = 31
_DAYS = 28
_LAST_QUARTER = 0.75
_NEW, _BUSY = 200, 0.03
_SMALL_SHARE = 6

KINDS = {
    # What a fraud does to some measures, in deviations; its hours of the day; and its amount.
    "testing": ({14: -2.6, 12: -1.9, 3: -1.4, 8: 1.2}, (0, 6), 3.0),
    "takeover": ({4: 2.4, 11: 1.9, 2: 1.5, 27: 1.3}, (8, 23), 620.0),
    "merchant": ({17: -2.5, 10: -1.9, 16: -1.6, 21: 1.2}, (9, 19), 140.0),
}


@dataclass(frozen=True)
class BankPlan:
    """A bank's table: rows, share of frauds, how its measures are scaled and drift, and what it has met."""

    rows: int
    frauds: float
    spread: float
    drift: float
    amount: float
    known: dict[str, float]
    """Shares of the kinds of fraud before the last quarter."""


BANKS = {
    "bank-1": BankPlan(24_000, 0.012, 1.0, 0.5, 60.0, {"testing": 1.0}),
    "bank-2": BankPlan(16_000, 0.014, 1.5, -0.7, 110.0, {"takeover": 1.0}),
    "bank-3": BankPlan(12_000, 0.016, 0.75, 0.9, 35.0, {"merchant": 0.85, "testing": 0.15}),
}


def draw_bank(plan: BankPlan, rng: np.random.Generator) -> np.ndarray:
    """A table (rows, 31), sorted by time."""
    time = np.sort(rng.uniform(0, _DAYS * 86_400, plan.rows))
    passed = time / (_DAYS * 86_400)
    hour = time / 3600 % 24
    # Independent noise with heavy tails, and three moods that several measures share.
    moods = rng.normal(0, 1, (plan.rows, 3)) @ rng.normal(0, 0.5, (3, MEASURES))
    values = rng.standard_t(5, (plan.rows, MEASURES)) * 0.8 + moods
    values[:, 0] += 0.6 * np.cos(hour / 24 * 2 * np.pi)
    amount = np.exp(rng.normal(np.log(plan.amount), 1.1, plan.rows))
    is_fraud = rng.uniform(size=plan.rows) < plan.frauds * 1.4 * (0.6 + 0.4 * passed)
    # The last transactions are the new ones, of a busy day.
    is_fraud[-_NEW:] |= rng.uniform(size=_NEW) < _BUSY
    for row in np.flatnonzero(is_fraud):
        shares = plan.known if passed[row] < _LAST_QUARTER else dict.fromkeys(KINDS, 1 / len(KINDS))
        moved, hours, usual = KINDS[str(rng.choice(list(shares), p=list(shares.values())))]
        strength = rng.uniform(0.5, 1.3)
        for number, by in moved.items():
            values[row, number - 1] += by * strength
        time[row] = time[row] // 86_400 * 86_400 + rng.uniform(*hours) * 3600
        amount[row] = np.exp(rng.normal(np.log(usual), 0.7))
    drifting = rng.choice(MEASURES, 8, replace=False)
    values[:, drifting] += plan.drift * passed[:, None]
    values *= plan.spread * rng.uniform(0.85, 1.15, MEASURES)
    table = np.column_stack([time, values, np.round(amount, 2), is_fraud])
    return table[np.argsort(time, kind="stable")]


def table_csv(rows: np.ndarray) -> str:
    """A table as ``train.py`` reads it."""
    out = io.StringIO()
    out.write(HEADER + "\n")
    for row in rows:
        values = ",".join(f"{value:.4f}" for value in row[1:-2])
        out.write(f"{row[0]:.0f},{values},{row[-2]:.2f},{int(row[-1])}\n")
    return out.getvalue()


def draw(*, small: bool) -> tuple[dict[str, str], str]:
    """The table of each bank, and new transactions of bank-1."""
    rng = np.random.default_rng(_SEED)
    tables = {}
    for bank, plan in BANKS.items():
        rows = plan.rows // _SMALL_SHARE if small else plan.rows
        frauds = plan.frauds * 2 if small else plan.frauds
        made = draw_bank(BankPlan(rows + _NEW, frauds, plan.spread, plan.drift, plan.amount, plan.known), rng)
        tables[bank], last = table_csv(made[:-_NEW]), made[-_NEW:]
        if bank == "bank-1":
            new = _without_class(table_csv(last))
    return tables, new


def collect(source: Path) -> tuple[dict[str, str], str]:
    """A real table, divided among the banks row by row, and its last rows as new transactions. Raises InputError."""
    header, *lines = folders.read_text(source, "a table with the columns of creditcard.csv").splitlines() or [""]
    if header.replace('"', "") != HEADER:
        raise InputError(f"{source} does not have the columns {HEADER}.")
    lines = [line.replace('"', "") for line in lines]
    known, new = lines[:-_NEW], lines[-_NEW:]
    tables = {bank: "\n".join([HEADER, *known[number :: len(BANKS)]]) + "\n" for number, bank in enumerate(BANKS)}
    return tables, _without_class("\n".join([HEADER, *new]) + "\n")


def prepare(output: Path, *, small: bool, source: Path | None) -> list[Path]:
    """Write every party's files below ``output``, replacing older ones; returns their paths. Raises InputError."""
    tables, new = collect(source) if source else draw(small=small)
    data = {bank: folders.write(output / bank / f"{bank}.csv", text) for bank, text in tables.items()}
    vendor, first = output / "vendor", output / "bank-1"
    shutil.rmtree(first / "results", ignore_errors=True)
    written = [*data.values(), folders.write(first / "new.csv", new)]
    written += folders.copy(VENDOR_FILES, HERE, vendor)
    written += folders.copy(BANK_FILES, HERE, first)
    size = {"args": ["--rounds", "60"]} if small else {}
    written.append(folders.write_manifest(HERE / "manifest.yaml", vendor, data, algorithm=size))
    written.append(folders.write_manifest(HERE / "predict.yaml", first))
    return written


def main() -> int:
    """Write the folders and print the paths of the files."""
    parser = argparse.ArgumentParser(description="Write the folders of the four parties of the fraud example.")
    parser.add_argument("output", type=Path, help="folder that gets vendor/, bank-1/, bank-2/ and bank-3/")
    parser.add_argument("--small", action="store_true", help="fewer transactions, for an emulated processor")
    parser.add_argument("--source", type=Path, help="a real creditcard.csv instead of drawn transactions")
    return folders.script(parser, lambda chosen: prepare(chosen.output, small=chosen.small, source=chosen.source))


def _without_class(text: str) -> str:
    return "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())


if __name__ == "__main__":
    raise SystemExit(main())
