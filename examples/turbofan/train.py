"""Train one estimator of the remaining life of turbofan engines on the tables of several airlines.

Runs in the sandbox, without a network: reads C-MAPSS tables, ``datasets/train_FD001.txt`` with the lives of engines to
their end, ``test_FD001.txt`` with engines in the middle of their life and ``RUL_FD001.txt`` with what these had left,
and the same of other names. Writes to ``results/``

- ``model.pth``      the model of all airlines together, for ``predict.py``
- ``metrics.json``   its errors on the test engines, and those of each airline alone on the same engines
- ``report.txt``     the same as a table, which is also printed
- ``rul.png``        predicted against true remaining life

The network is an LSTM over an engine's last 30 cycles. Worker processes cut the windows. Needs torch and matplotlib.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lifetime import LONGEST, InvalidTable, LifetimeNetwork, estimate, read_table, window
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

SEED = 21
_FASTEST = 1e-2


@dataclass(frozen=True)
class Fleet:
    """The engines of one airline: whole lives, and test engines with the cycles that they had left."""

    trained: list[np.ndarray]
    tested: list[np.ndarray]
    left: np.ndarray


@dataclass(frozen=True)
class Scaling:
    """What makes every column of a table have mean 0 and deviation 1 in the training data."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, engines: list[np.ndarray]) -> "Scaling":
        """From the engines to train on; a column that never changes is not scaled."""
        rows = np.concatenate(engines)
        deviation = rows.std(axis=0)
        return cls(rows.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0))

    def apply(self, engine: np.ndarray) -> np.ndarray:
        """An engine's table, scaled."""
        return (engine - self.mean) / self.scale


class LifeWindows(Dataset):
    """Windows over whole lives, every ``every`` cycles, with the cycles that were left."""

    def __init__(self, engines: list[np.ndarray], every: int) -> None:
        self._engines = engines
        self._ends = [(number, end) for number, engine in enumerate(engines) for end in range(len(engine), 5, -every)]

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number, end = self._ends[index]
        left = min(len(self._engines[number]) - end, LONGEST) / LONGEST
        values = torch.from_numpy(window(self._engines[number], end)).to(torch.float32)
        return values, torch.tensor(left, dtype=torch.float32)


def read_fleets(folder: Path) -> dict[str, Fleet]:
    """All airlines by the name of their tables, such as FD001. Raises InvalidTable."""
    fleets = {}
    for path in sorted(folder.glob("train_*.txt")):
        name = path.stem.removeprefix("train_")
        tests, lives = folder / f"test_{name}.txt", folder / f"RUL_{name}.txt"
        for needed in (tests, lives):
            if not needed.is_file():
                raise InvalidTable(f"{needed.name} is missing beside {path.name}.")
        tested = read_table(tests)
        try:
            left = np.loadtxt(lives, dtype=np.float64, ndmin=1)
        except (ValueError, UnicodeDecodeError) as error:
            raise InvalidTable(f"{lives.name} is not a list of numbers.") from error
        if left.shape != (len(tested),):
            raise InvalidTable(f"{lives.name} has {left.size} lines for the {len(tested)} engines of {tests.name}.")
        fleets[name] = Fleet(read_table(path), tested, left)
    if not fleets:
        raise InvalidTable(f"{folder} has no table train_*.txt.")
    return fleets


def train(engines: list[np.ndarray], scaling: Scaling, options: argparse.Namespace, name: str) -> nn.Module:
    """A new network, trained on whole lives; prints a line an epoch."""
    torch.manual_seed(SEED)
    network = LifetimeNetwork(options.hidden)
    data = LifeWindows([scaling.apply(engine) for engine in engines], options.every)
    loader = DataLoader(
        data,
        options.batch,
        shuffle=True,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        generator=torch.Generator().manual_seed(SEED),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=_FASTEST)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _FASTEST, total_steps=len(loader) * options.epochs)
    for epoch in range(1, options.epochs + 1):
        total = 0.0
        for windows, left in loader:
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(windows), left)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(left)
        error = LONGEST * (total / len(data)) ** 0.5
        print(f"{name}: epoch {epoch} of {options.epochs}, {len(data)} windows, error {error:.1f} cycles", flush=True)
    return network.eval()


def predict(network: nn.Module, scaling: Scaling, engines: list[np.ndarray]) -> np.ndarray:
    """The remaining cycles of each engine after its last row."""
    return estimate(network, np.stack([window(scaling.apply(engine), len(engine)) for engine in engines]))


def error_of(found: np.ndarray, left: np.ndarray) -> float:
    """The root of the mean squared error, in cycles."""
    return float(np.sqrt(np.mean((found - np.minimum(left, LONGEST)) ** 2)))


def report(document: dict) -> str:
    """The metrics document as a table for people."""
    tests = list(document["fleets"])
    lines = [
        f"Error in cycles (RMSE, lives counted up to {LONGEST:.0f}) for {document['tested']} engines in mid-life.",
        "",
        f"{'trained on':<14}{'engines':>8}{'all':>8}" + "".join(f"{f'of {name}':>10}" for name in tests),
    ]
    rows = [(f"{name} alone", found) for name, found in document["alone"].items()]
    for name, found in [*rows, ("all together", document["joint"])]:
        parts = "".join(f"{found['error_of'][test]:>10.1f}" for test in tests)
        lines.append(f"{name:<14}{found['engines']:>8}{found['error']:>8.1f}{parts}")
    return "\n".join(lines) + "\n"


def draw_lives(fleets: dict[str, Fleet], found: dict[str, np.ndarray], path: Path) -> None:
    """Predicted against true remaining life, an engine a point."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5.6, 5.2), layout="constrained")
    axes.plot([0, LONGEST], [0, LONGEST], color="0.6", linewidth=1, label="exact")
    axes.fill_between([0, LONGEST], [-20, LONGEST - 20], [20, LONGEST + 20], color="0.93", label="20 cycles off")
    for (name, fleet), marker in zip(fleets.items(), "os^Dv<>" * 9, strict=False):
        axes.scatter(np.minimum(fleet.left, LONGEST), found[name], 30, marker=marker, alpha=0.75, label=name)
    axes.set_xlim(0, LONGEST + 4)
    axes.set_ylim(0, LONGEST + 4)
    axes.set_xlabel(f"true remaining life, cycles (at most {LONGEST:.0f})")
    axes.set_ylabel("predicted by the joint model")
    axes.set_title(f"{sum(len(fleet.left) for fleet in fleets.values())} test engines")
    axes.legend(loc="upper left")
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Read, train, write. Returns 0, or 2 after one sentence on standard error if a table is invalid."""
    parser = argparse.ArgumentParser(description="Estimate the remaining life of engines from C-MAPSS tables.")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="folder with the tables")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--hidden", type=int, default=48, help="size of the network")
    parser.add_argument("--epochs", type=int, default=12, help="how often the network sees each window")
    parser.add_argument("--batch", type=int, default=128, help="windows between two changes of the network")
    parser.add_argument("--every", type=int, default=2, help="cycles between two windows of an engine")
    parser.add_argument("--workers", type=int, default=2, help="processes that cut the windows")
    options = parser.parse_args(argv)
    try:
        fleets = read_fleets(options.datasets)
    except InvalidTable as error:
        print(error, file=sys.stderr)
        return 2
    left = np.concatenate([fleet.left for fleet in fleets.values()])

    def judge(engines: list[np.ndarray], name: str) -> tuple[dict, dict[str, np.ndarray], dict]:
        scaling = Scaling.of(engines)
        network = train(engines, scaling, options, name)
        found = {key: predict(network, scaling, fleet.tested) for key, fleet in fleets.items()}
        errors = {key: error_of(found[key], fleet.left) for key, fleet in fleets.items()}
        model = {
            "hidden": options.hidden,
            "mean": torch.from_numpy(scaling.mean),
            "scale": torch.from_numpy(scaling.scale),
            "state": network.state_dict(),
        }
        whole = error_of(np.concatenate(list(found.values())), left)
        return {"engines": len(engines), "error": whole, "error_of": errors}, found, model

    alone = {}
    if len(fleets) > 1:
        alone = {name: judge(fleet.trained, f"{name} alone")[0] for name, fleet in fleets.items()}
    joint, found, model = judge([engine for fleet in fleets.values() for engine in fleet.trained], "all together")
    document = {
        "tested": len(left),
        "workers": options.workers,
        "fleets": {name: {"engines": len(fleet.trained)} for name, fleet in fleets.items()},
        "joint": joint,
        "alone": alone,
        "predicted": {name: [round(float(one), 1) for one in values] for name, values in found.items()},
    }
    options.results.mkdir(parents=True, exist_ok=True)
    torch.save(model, options.results / "model.pth")
    (options.results / "metrics.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draw_lives(fleets, found, options.results / "rul.png")
    text = report(document)
    (options.results / "report.txt").write_text(text, encoding="utf-8")
    print(f"\n{text}", end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
