"""Train one classifier of chest radiographs on the pictures of several hospitals.

Runs in the sandbox, without a network. Every folder in ``datasets/`` is a hospital with one folder of pictures for each
class, such as ``datasets/h1/Viral Pneumonia/Viral Pneumonia-12.png``. Writes to ``results/``

- ``model.pth``       the model of all hospitals together, for ``predict.py``
- ``metrics.json``    its accuracy on held-out pictures, and that of each hospital alone on the same pictures
- ``report.txt``      the same as a table, which is also printed
- ``confusion.png``   which classes the joint model takes for which

Every fourth picture of each class and hospital is held out: no model is trained on it, and every model is tested on all
of them. Needs torch, torchvision (for ResNet-18), pillow and matplotlib.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from network import MODELS, InvalidModel, as_input, build, read_picture
from torch import Tensor, nn

CLASSES = ("COVID", "Normal", "Viral Pneumonia")
HELD_OUT = 4
"""Of this many pictures, one is held out."""

SEED = 11
_BATCH = 16
_FEWEST = 8


class DatasetError(Exception):
    """A hospital's folder is invalid. The message names no picture, since it may be logged."""


@dataclass(frozen=True)
class PictureSet:
    """Pictures (n, size, size), bytes, and the numbers of their classes."""

    pictures: np.ndarray
    labels: np.ndarray

    def only(self, mask: np.ndarray) -> "PictureSet":
        """The pictures that ``mask`` selects."""
        return PictureSet(self.pictures[mask], self.labels[mask])


def read_hospital(folder: Path, size: int) -> tuple[PictureSet, PictureSet]:
    """The pictures of one hospital: those to train on, and the held-out ones. Raises DatasetError."""
    pictures: list[np.ndarray] = []
    labels: list[int] = []
    held_out: list[bool] = []
    for label, kind in enumerate(CLASSES):
        paths = sorted((folder / kind).glob("*.png"))
        if len(paths) < _FEWEST:
            raise DatasetError(f"{folder.name} has {len(paths)} pictures of {kind}; at least {_FEWEST} are needed.")
        for position, path in enumerate(paths):
            try:
                pictures.append(read_picture(path, size))
            except OSError as error:
                raise DatasetError(f"{folder.name}: picture {position + 1} of {kind} cannot be read.") from error
            labels.append(label)
            held_out.append(position % HELD_OUT == 0)
    every, mask = PictureSet(np.stack(pictures), np.array(labels)), np.array(held_out)
    return every.only(~mask), every.only(mask)


def read_hospitals(folder: Path, size: int) -> dict[str, tuple[PictureSet, PictureSet]]:
    """All hospitals by name, in the order of the names. Raises DatasetError."""
    found = {path.name: read_hospital(path, size) for path in sorted(folder.iterdir()) if path.is_dir()}
    if not found:
        raise DatasetError(f"{folder} has no folder of a hospital.")
    return found


def joined(parts: list[PictureSet]) -> PictureSet:
    """All pictures of ``parts``."""
    return PictureSet(
        np.concatenate([part.pictures for part in parts]), np.concatenate([part.labels for part in parts])
    )


def train(data: PictureSet, options: argparse.Namespace, name: str) -> nn.Module:
    """A new model, trained on ``data``; prints a line an epoch."""
    torch.manual_seed(SEED)
    network = build(options.model, len(CLASSES), options.weights)
    rng = np.random.default_rng(SEED)
    # A class that a hospital rarely sees counts as much as the others.
    counts = np.bincount(data.labels, minlength=len(CLASSES))
    loss_of = nn.CrossEntropyLoss(torch.tensor(len(data.labels) / (len(CLASSES) * counts), dtype=torch.float32))
    steps = -(-len(data.labels) // _BATCH)
    fastest = 3e-4 if options.weights else (1e-3 if options.model == "resnet18" else 1e-2)
    optimiser = torch.optim.AdamW(network.parameters(), lr=fastest)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, fastest, total_steps=steps * options.epochs)
    network.train()
    for epoch in range(1, options.epochs + 1):
        order, total = rng.permutation(len(data.labels)), 0.0
        for some in np.array_split(order, steps):
            optimiser.zero_grad()
            loss = loss_of(network(as_input(data.pictures[some])), torch.from_numpy(data.labels[some]))
            loss.backward()
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(some)
        print(f"{name}: epoch {epoch} of {options.epochs}, loss {total / len(order):.3f}", flush=True)
    return network.eval()


def predict(network: nn.Module, data: PictureSet) -> np.ndarray:
    """The predicted classes of all pictures."""
    found: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(data.labels), 64):
            found.append(network(as_input(data.pictures[start : start + 64])).argmax(dim=1))
    return torch.cat(found).numpy()


def confusion(predicted: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    """How many pictures of each class (rows) were taken for each class (columns)."""
    return [[int(np.sum((labels == true) & (predicted == taken))) for taken in range(3)] for true in range(3)]


def report(document: dict) -> str:
    """The metrics document as a table for people."""
    tests = list(document["hospitals"])
    lines = [
        f"{document['start']}; {document['held_out']} held-out pictures that no model was trained on.",
        "",
        f"{'trained on':<14}{'pictures':>9}{'all':>9}" + "".join(f"{f'of {name}':>9}" for name in tests),
    ]
    rows = [(f"{name} alone", document["alone"][name]) for name in tests] if document["alone"] else []
    for name, found in [*rows, ("all together", document["joint"])]:
        parts = "".join(f"{found['accuracy_of'][test]:>9.1%}" for test in tests)
        lines.append(f"{name:<14}{found['pictures']:>9}{found['accuracy']:>9.1%}{parts}")
    return "\n".join(lines) + "\n"


def draw_confusion(matrix: list[list[int]], path: Path) -> None:
    """The confusion matrix as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    counts = np.array(matrix)
    shares = counts / counts.sum(axis=1, keepdims=True)
    figure, axes = pyplot.subplots(figsize=(5.6, 4.8), layout="constrained")
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (true, taken), count in np.ndenumerate(counts):
        colour = "white" if shares[true, taken] > 0.55 else "black"
        text = f"{count}\n{shares[true, taken]:.0%}"
        axes.text(taken, true, text, ha="center", va="center", color=colour, fontsize=13)
    axes.set_xticks(range(3), CLASSES)
    axes.set_yticks(range(3), CLASSES, rotation=90, va="center")
    axes.set_xlabel("predicted by the joint model")
    axes.set_ylabel("true class")
    axes.set_title(f"{counts.sum()} held-out pictures of all hospitals")
    figure.colorbar(shown, ax=axes, format=lambda share, _: f"{share:.0%}", label="share of the true class")
    figure.savefig(path, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Read, train, write. Returns 0, or 2 after one sentence on standard error if an input is invalid."""
    parser = argparse.ArgumentParser(description="Train one classifier on the radiographs of several hospitals.")
    parser.add_argument("--datasets", type=Path, default=Path("datasets"), help="a folder for each hospital")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder for the results")
    parser.add_argument("--model", choices=MODELS, default="resnet18")
    parser.add_argument("--weights", type=Path, help="weights of ResNet-18 to start from; random without it")
    parser.add_argument("--size", type=int, default=96, help="pixels to which pictures are scaled")
    parser.add_argument("--epochs", type=int, default=4, help="how often a model sees each picture")
    options = parser.parse_args(argv)
    try:
        hospitals = read_hospitals(options.datasets, options.size)
        start = _start(options)
        print(start, flush=True)
        tests = {name: test for name, (_, test) in hospitals.items()}
        every_test = joined(list(tests.values()))

        def judge(network: nn.Module, trained_on: PictureSet) -> dict:
            parts = {name: float(np.mean(predict(network, test) == test.labels)) for name, test in tests.items()}
            found = predict(network, every_test)
            return {
                "pictures": len(trained_on.labels),
                "accuracy": float(np.mean(found == every_test.labels)),
                "accuracy_of": parts,
                "confusion": confusion(found, every_test.labels),
            }

        alone = {}
        if len(hospitals) > 1:
            alone = {name: judge(train(data, options, f"{name} alone"), data) for name, (data, _) in hospitals.items()}
        every = joined([data for data, _ in hospitals.values()])
        network = train(every, options, "all together")
    except (DatasetError, InvalidModel) as error:
        print(error, file=sys.stderr)
        return 2
    document = {
        "start": start,
        "classes": list(CLASSES),
        "held_out": len(every_test.labels),
        "hospitals": {
            name: {
                kind: int(np.sum(data.labels == label) + np.sum(test.labels == label))
                for label, kind in enumerate(CLASSES)
            }
            for name, (data, test) in hospitals.items()
        },
        "joint": judge(network, every),
        "alone": alone,
    }
    options.results.mkdir(parents=True, exist_ok=True)
    model = {"kind": options.model, "size": options.size, "classes": list(CLASSES), "state": network.state_dict()}
    torch.save(model, options.results / "model.pth")
    (options.results / "metrics.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draw_confusion(document["joint"]["confusion"], options.results / "confusion.png")
    text = report(document)
    (options.results / "report.txt").write_text(text, encoding="utf-8")
    print(f"\n{text}", end="")
    return 0


def _start(options: argparse.Namespace) -> str:
    if options.model == "small":
        return "The small network, from random weights"
    if options.weights:
        return f"ResNet-18, fine-tuned from {options.weights.name}"
    return "ResNet-18 from random weights (seeded, not pretrained: no --weights)"


if __name__ == "__main__":
    raise SystemExit(main())
