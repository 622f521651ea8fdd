"""The examples: what each needs beside its manifest, which says who takes part and what is computed."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cloister.errors import InputError
from examples.actor import CHECKOUT

SMALL, SOURCE, WEIGHTS, MODEL = "small", "source", "weights", "model"
"""The options that an example may have; its ``prepare.py`` has the same."""


@dataclass(frozen=True)
class Example:
    """One example. ``name`` is its folder, and that of its workspace."""

    name: str
    about: str
    owner: str
    """The party that writes and submits the manifest."""

    data: str
    """Where the data come from, for the screen."""

    predict: Callable[[Path], list[str]]
    """The commands by which a consumer uses the result, from the consumer's folder."""

    use: str
    """What ``predict`` does, for the screen."""

    wait: str = "minutes without KVM"
    flavor: str = "base"
    """The guest image."""

    output: str = ""
    """Where the parties' folders are; ``out/<name>`` if empty."""

    requirements: str = ""
    """The locked packages that the algorithm's provider bundles."""

    needs: tuple[str, ...] = ()
    """The modules without which ``predict.yaml`` runs in the image's files instead of the commands of ``predict``."""

    options: frozenset[str] = frozenset({SMALL, SOURCE})
    note: Callable[[Mapping[str, str]], str] = field(default=lambda options: "")
    """What the chosen options mean, for the screen."""

    @property
    def folder(self) -> Path:
        """The example's own folder."""
        return CHECKOUT / "examples" / self.name

    def words(self, options: Mapping[str, str]) -> str:
        """The options of ``prepare.py`` on its command line. Raises InputError for one that this example lacks."""
        unknown = sorted(set(options) - self.options)
        if unknown:
            known = ", ".join(f"--{name}" for name in sorted(self.options)) or "none"
            raise InputError(f"The example {self.name} has no --{unknown[0]}.", hint=f"Its options: {known}.")
        return "".join(f" --{name} {shlex.quote(text)}" if text else f" --{name}" for name, text in options.items())

    def agreement(self, output: Path) -> dict[str, Any]:
        """The manifest as its author has it, after ``prepare.py``."""
        return yaml.safe_load((output / self.owner / "manifest.yaml").read_text(encoding="utf-8"))


def find(name: str) -> Example:
    """The example ``name``. Raises InputError."""
    known = {example.name: example for example in EXAMPLES}
    if name not in known:
        raise InputError(f"Unknown example {name}.", hint=f"The examples: {', '.join(known)}.")
    return known[name]


def _predict_pictures(lab: Path) -> list[str]:
    pictures = sorted(path for kind in ("COVID", "Viral Pneumonia") for path in (lab / "test" / kind).iterdir())
    names = [path.relative_to(lab).as_posix() for path in pictures]
    return [f"python predict.py --model results/model.pth --image {shlex.quote(name)}" for name in names]


def _weights(options: Mapping[str, str]) -> str:
    if MODEL in options or SMALL in options:
        return "The small network, from random weights."
    if WEIGHTS in options:
        return f"ResNet-18, fine-tuned from {options[WEIGHTS]}."
    return "ResNet-18 from random weights (seeded, not pretrained); --weights FILE fine-tunes from a file."


TUMOUR = Example(
    name="tumour",
    about="three hospitals train one tumour classifier on their tables",
    owner="lab",
    data="The cases: 568 of the Breast Cancer Wisconsin table, divided among three hospitals (downloads 12 MB, once)",
    predict=lambda lab: ["python predict.py results/model.json case.json"],
    use="A new patient",
    wait="half a minute without KVM",
    output="out/demo",
    requirements="requirements.txt",
    options=frozenset(),
)
CHEST_XRAY = Example(
    name="chest-xray",
    about="three hospitals train one classifier of chest radiographs (PyTorch)",
    owner="lab",
    data="The pictures: drawn, with the signs of three classes, or those of --source",
    predict=_predict_pictures,
    use="Pictures of new patients",
    flavor="pytorch",
    needs=("torch", "torchvision", "PIL"),
    options=frozenset({SMALL, SOURCE, WEIGHTS, MODEL}),
    note=_weights,
)
FRAUD = Example(
    name="fraud",
    about="a vendor's algorithm trains one fraud model on the transactions of three banks (XGBoost)",
    owner="vendor",
    data="The transactions: drawn, with drift between the banks, or those of --source",
    predict=lambda bank: ["python predict.py --model results/fraud_model.ubj --transactions new.csv"],
    use="bank-1 looks at new transactions",
    requirements="requirements.lock",
    needs=("numpy", "xgboost"),
)
TURBOFAN = Example(
    name="turbofan",
    about="a manufacturer learns the remaining life of engines from the sensors of two airlines (PyTorch)",
    owner="manufacturer",
    data="The flights: drawn in the shape of NASA's C-MAPSS tables, or those of --source",
    predict=lambda manufacturer: ["python predict.py --model results/model.pth --table engines.txt"],
    use="Three engines in service",
    flavor="pytorch",
    needs=("torch", "matplotlib"),
)
EXAMPLES = (TUMOUR, CHEST_XRAY, FRAUD, TURBOFAN)
