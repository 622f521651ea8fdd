"""The network that estimates how many cycles an engine has left, and tables as it takes them.

Used by ``train.py`` and ``predict.py``.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

COLUMNS = 26
"""Engine, cycle, three settings, 21 sensors."""

WINDOW = 30
"""How many of an engine's last cycles the network sees."""

LONGEST = 125.0
"""More cycles than this are counted as this many: a new engine does not show yet when it will fail."""


class InvalidTable(Exception):
    """A table or a model cannot be used. The message has the file, but no value, since it may be logged."""


class LifetimeNetwork(nn.Module):
    """An LSTM over the last cycles of an engine: (n, WINDOW, 24) to (n,), in units of ``LONGEST``."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.memory = nn.LSTM(COLUMNS - 2, hidden, batch_first=True)
        self.read = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, windows: Tensor) -> Tensor:
        """The remaining life of each window's engine."""
        return self.read(self.memory(windows)[0][:, -1])[:, 0]


def read_table(path: Path) -> list[np.ndarray]:
    """The engines of a table in its order, each (cycles, 24): settings and sensors. Raises InvalidTable."""
    try:
        rows = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise InvalidTable(f"{path.name} is not a table of numbers.") from error
    if rows.shape[1] != COLUMNS or not len(rows):
        raise InvalidTable(f"{path.name} has {rows.shape[1]} columns instead of {COLUMNS}.")
    if not np.isfinite(rows).all():
        raise InvalidTable(f"{path.name} has values that are not finite numbers.")
    starts = np.flatnonzero(np.diff(rows[:, 0], prepend=np.nan))
    return [engine[:, 2:] for engine in np.split(rows, starts[1:])]


def window(engine: np.ndarray, end: int) -> np.ndarray:
    """The ``WINDOW`` cycles before ``end``; the first one stands for those before an engine's first."""
    first = max(0, end - WINDOW)
    missing = WINDOW - (end - first)
    return np.concatenate([np.repeat(engine[:1], missing, axis=0), engine[first:end]])


def estimate(network: nn.Module, windows: np.ndarray) -> np.ndarray:
    """The remaining cycles of windows (n, WINDOW, 24) whose columns are already scaled."""
    with torch.no_grad():
        found = network(torch.from_numpy(windows).to(torch.float32))
    return np.clip(found.numpy().astype(np.float64) * LONGEST, 0, LONGEST)
