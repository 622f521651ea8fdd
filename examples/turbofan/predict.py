"""Estimate how long engines will last: ``python predict.py --model results/model.pth --table engines.txt``.

Runs at the consumer; needs torch and matplotlib, and ``lifetime.py`` beside it. Prints a line for each engine, and
draws what the model said after each of its cycles to ``./results/rul_<name of the table>.png``.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from lifetime import COLUMNS, LONGEST, InvalidTable, LifetimeNetwork, estimate, read_table, window

RESULTS = Path("results")
_FIRST = 6
"""The first cycle for which a curve is drawn."""


def load(path: Path) -> tuple[LifetimeNetwork, np.ndarray, np.ndarray]:
    """The network of a model, and mean and scale of its columns. Nothing in the file is run. Raises InvalidTable."""
    try:
        model = torch.load(path, map_location="cpu", weights_only=True)
        network = LifetimeNetwork(model["hidden"])
        network.load_state_dict(model["state"])
        mean, scale = model["mean"].numpy(), model["scale"].numpy()
    except FileNotFoundError as error:
        raise InvalidTable(f"{path} does not exist.") from error
    except Exception as error:
        raise InvalidTable(f"{path} is not a model of train.py.") from error
    if mean.shape != (COLUMNS - 2,) or scale.shape != mean.shape:
        raise InvalidTable(f"{path} is not a model of train.py.")
    return network.eval(), mean, scale


def draw(curves: list[np.ndarray], path: Path) -> None:
    """The remaining life of each engine as the model saw it, cycle by cycle."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for number, curve in enumerate(curves, start=1):
        cycles = np.arange(_FIRST, _FIRST + len(curve))
        axes.plot(cycles, curve, label=f"engine {number}: {curve[-1]:.0f} left")
        axes.plot(cycles[-1], curve[-1], "o", color=axes.lines[-1].get_color())
    axes.set_xlabel("cycle")
    axes.set_ylabel("remaining life, cycles")
    axes.set_ylim(0, LONGEST + 8)
    axes.legend()
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Predict each engine. Returns 0, or 2 after one sentence on standard error if a file is invalid."""
    parser = argparse.ArgumentParser(description="Estimate the remaining life of engines with the model of train.py.")
    parser.add_argument("--model", type=Path, required=True, help="model.pth from the result")
    parser.add_argument("--table", type=Path, required=True, help="engines in the shape of a C-MAPSS table")
    options = parser.parse_args(argv)
    try:
        network, mean, scale = load(options.model)
        engines = [(engine - mean) / scale for engine in read_table(options.table)]
    except InvalidTable as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.table} cannot be read: {error.strerror}.", file=sys.stderr)
        return 2
    curves = []
    for number, engine in enumerate(engines, start=1):
        ends = range(min(_FIRST, len(engine)), len(engine) + 1)
        curves.append(estimate(network, np.stack([window(engine, end) for end in ends])))
        left = curves[-1][-1]
        words = f"more than {LONGEST - 5:.0f} cycles" if left > LONGEST - 5 else f"about {left:.0f} cycles"
        print(f"Engine {number} after {len(engine)} cycles: remaining useful life {words}")
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"rul_{options.table.stem}.png"
    draw(curves, target)
    print(f"Curves saved to ./{target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
