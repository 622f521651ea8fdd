"""Write the folders of the three parties: ``python examples/turbofan/prepare.py out/turbofan``.

The tables are drawn, always the same ones, in the shape of NASA's C-MAPSS tables: 26 columns with spaces between them,
namely engine, cycle, three settings and 21 sensors, a row a flight. An engine in ``train_FD00x.txt`` flies until it
fails. One in ``test_FD00x.txt`` is somewhere in its life, and its line of ``RUL_FD00x.txt`` says how many cycles it had
left. What an engine does is a simple curve: its wear grows slowly, then fast, and moves some of the sensors.

    party      tables  engines that failed        engines in service
    airline-1  FD001   40, all at the compressor  30, all at the compressor
    airline-2  FD003   30, all at the fan         30, one half at the compressor, one half at the fan

The manufacturer keeps ``engines.txt`` with three more engines, to predict.

``--source FOLDER`` takes NASA's own tables instead, which have the same names.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cloister.errors import InputError
from examples import folders

HERE = Path(__file__).resolve().parent
AIRLINES = {"airline-1": "FD001", "airline-2": "FD003"}
COLUMNS = 26
MANUFACTURER_FILES = ("train.py", "lifetime.py", "predict.py")
_SEED = 21
_PARTS = ("train", "test", "RUL")

BASE = (
    518.67, 642.1, 1582.0, 1398.0, 14.62, 21.61, 554.5, 2388.02, 9050.0, 1.3, 47.2, 522.3, 2388.03, 8134.0, 8.41, 0.03,
    391.6, 2388.0, 100.0, 38.98, 23.38,
)  # fmt: skip
"""The sensors of a new engine."""

NOISE = (
    0, 0.35, 4.5, 5.5, 0, 0.002, 0.45, 0.045, 9.0, 0, 0.14, 0.4, 0.045, 8.5, 0.021, 0, 0.95, 0, 0, 0.11, 0.065,
)  # fmt: skip

COMPRESSOR = (0, 1.4, 17.0, 28.0, 0, 0, -2.4, 0.22, 26.0, 0, 0.85, -2.1, 0.22, 20.0, 0.10, 0, 4.1, 0, 0, -0.55, -0.34)
FAN = (0, 1.0, 10.0, 22.0, 0, 0.01, 2.9, 0.26, 60.0, 0, 0.7, 2.6, 0.27, 55.0, -0.17, 0, 3.2, 0, 0, 0.62, 0.38)
"""What worn parts add to the sensors at the end of an engine's life."""


@dataclass(frozen=True)
class FleetPlan:
    """How many engines an airline has, of how long a life, and how many of 10 fail at the fan: until now, and later."""

    trained: int
    tested: int
    life: float
    fan: int
    fan_later: int


FLEETS = {"FD001": FleetPlan(40, 30, 200.0, 0, 0), "FD003": FleetPlan(30, 30, 235.0, 10, 5)}
SMALL = {"FD001": FleetPlan(6, 6, 140.0, 0, 0), "FD003": FleetPlan(6, 6, 150.0, 10, 5)}


def draw_engine(number: int, fan: bool, life: int, rng: np.random.Generator) -> np.ndarray:
    """The whole life of an engine: (life, 26)."""
    cycle = np.arange(1, life + 1)
    wear = rng.uniform(0, 0.12) + cycle / life * rng.uniform(0.08, 0.16)
    wear += 0.85 * ((np.exp(cycle / life * 5.0) - 1) / (np.exp(5.0) - 1)) ** rng.uniform(0.75, 1.0)
    slope = np.array(FAN if fan else COMPRESSOR) * rng.normal(1, 0.06, len(BASE))
    sensors = np.array(BASE) + wear[:, None] * slope + rng.normal(0, 1, (life, len(BASE))) * np.array(NOISE)
    settings = rng.normal(0, (0.0022, 0.0003, 0), (life, 3)) + np.array((0, 0, 100))
    return np.column_stack([np.full(life, number), cycle, settings, sensors])


def draw_fleet(plan: FleetPlan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tables of one airline: engines that fail, engines in the middle of their life, and what these had left."""
    lives = np.clip(rng.normal(plan.life, plan.life / 5, plan.trained + plan.tested), 90, 360).astype(int)
    engines = []
    for number, life in enumerate(lives):
        share = plan.fan if number < plan.trained else plan.fan_later
        engines.append(draw_engine(0, 7 * number % 10 < share, int(life), rng))
    trained, tested, left = [], [], []
    for number, engine in enumerate(engines[: plan.trained], start=1):
        engine[:, 0] = number
        trained.append(engine)
    for number, engine in enumerate(engines[plan.trained :], start=1):
        kept = int(len(engine) * rng.uniform(0.35, 0.97))
        engine[:, 0] = number
        tested.append(engine[:kept])
        left.append(len(engine) - kept)
    return np.concatenate(trained), np.concatenate(tested), np.array(left)


def table(rows: np.ndarray) -> str:
    """A table as NASA writes it."""
    lines = []
    for row in rows:
        settings = f"{row[2]:.4f} {row[3]:.4f} {row[4]:.1f}"
        lines.append(f"{int(row[0])} {int(row[1])} {settings} " + " ".join(f"{value:.2f}" for value in row[5:]))
    return "\n".join(lines) + "\n"


def draw(*, small: bool) -> tuple[dict[str, str], str]:
    """The text of each table by its name, and the manufacturer's engines."""
    rng = np.random.default_rng(_SEED)
    tables = {}
    for name, plan in (SMALL if small else FLEETS).items():
        trained, tested, left = draw_fleet(plan, rng)
        tables[f"train_{name}.txt"] = table(trained)
        tables[f"test_{name}.txt"] = table(tested)
        tables[f"RUL_{name}.txt"] = "".join(f"{cycles}\n" for cycles in left)
    new = [draw_engine(number, number == 2, 180, rng)[:kept] for number, kept in ((1, 90), (2, 150), (3, 172))]
    return tables, table(np.concatenate(new))


def collect(source: Path) -> tuple[dict[str, str], str]:
    """NASA's tables below ``source``, and the first three engines of FD001 to predict. Raises InputError."""
    tables = {}
    for name in AIRLINES.values():
        for part in _PARTS:
            path = source / f"{part}_{name}.txt"
            tables[path.name] = folders.read_text(path, "the folder with NASA's tables FD001 and FD003")
            columns = {len(line.split()) for line in tables[path.name].splitlines() if line.strip()}
            if columns != ({1} if part == "RUL" else {COLUMNS}):
                expected = 1 if part == "RUL" else COLUMNS
                raise InputError(f"{path} has lines of {sorted(columns)} columns instead of {expected}.")
    lines = tables["test_FD001.txt"].splitlines(keepends=True)
    return tables, "".join(line for line in lines if line.split()[:1] in (["1"], ["2"], ["3"]))


def prepare(output: Path, *, small: bool, source: Path | None) -> list[Path]:
    """Write every party's files below ``output``, replacing older ones; returns their paths. Raises InputError."""
    tables, new = collect(source) if source else draw(small=small)
    data, manufacturer = {}, output / "manufacturer"
    shutil.rmtree(manufacturer / "results", ignore_errors=True)
    for airline, name in AIRLINES.items():
        for part in _PARTS:
            file = f"{part}_{name}.txt"
            data[f"{part.lower()}-{name.lower()}"] = folders.write(output / airline / file, tables[file])
    written = [*data.values(), folders.write(manufacturer / "engines.txt", new)]
    written += folders.copy(MANUFACTURER_FILES, HERE, manufacturer)
    size = {"args": ["--hidden", "16", "--epochs", "6", "--every", "4", "--batch", "32"]} if small else {}
    written.append(folders.write_manifest(HERE / "manifest.yaml", manufacturer, data, algorithm=size))
    written.append(folders.write_manifest(HERE / "predict.yaml", manufacturer))
    return written


def main() -> int:
    """Write the folders and print the paths of the files."""
    parser = argparse.ArgumentParser(description="Write the folders of the three parties of the turbofan example.")
    parser.add_argument("output", type=Path, help="folder that gets manufacturer/, airline-1/ and airline-2/")
    parser.add_argument("--small", action="store_true", help="fewer engines, for an emulated processor")
    parser.add_argument("--source", type=Path, help="folder with NASA's C-MAPSS tables instead of drawn ones")
    return folders.script(parser, lambda chosen: prepare(chosen.output, small=chosen.small, source=chosen.source))


if __name__ == "__main__":
    raise SystemExit(main())
