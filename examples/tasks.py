"""The verbs ``demo`` and ``example``."""

from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context

from cloister.cli.shell.verb import verb

_AGAIN = "Run the same command again: it continues with the existing workspace."


@verb(interrupted=_AGAIN, help={"output": "folder in which each party gets a folder"}, example="invoke demo")
def demo(c: Context, output: str = "out/demo") -> None:
    """Run a whole computation on this machine: three hospitals train one classifier (about three minutes)."""
    from examples import walkthrough
    from examples.catalogue import TUMOUR

    walkthrough.run(TUMOUR, Path(output).resolve(), {})


@verb(
    positional=["name"],
    interrupted=_AGAIN,
    help={
        "name": "tumour, chest-xray, fraud or turbofan; without it, they are listed",
        "small": "less data and a smaller model, for an emulated processor",
        "native": "without a CVM: a trial in the image's files on this machine, at its full speed, without protection",
        "source": "real data instead of drawn data; the example's README says which",
        "weights": "chest-xray: file with the weights of ResNet-18 to start from",
        "model": "chest-xray: resnet18 (default) or small",
        "output": "folder in which each party gets a folder (default: out/NAME)",
    },
    example="invoke example fraud --small",
)
def example(
    c: Context,
    name: str = "",
    small: bool = False,
    native: bool = False,
    source: str = "",
    weights: str = "",
    model: str = "",
    output: str = "",
) -> None:
    """Run one of the examples from the parties' files to a prediction, or list them."""
    from examples import catalogue, walkthrough

    if not name:
        for one in catalogue.EXAMPLES:
            print(f"{one.name:<12} {one.about}")
        return
    chosen = catalogue.find(name)
    # prepare.py runs in the checkout: paths of the reader's folder are made absolute.
    files = {name: str(Path(path).resolve()) for name, path in (("source", source), ("weights", weights)) if path}
    options = {**({"small": ""} if small else {}), **files, **({"model": model} if model else {})}
    walkthrough.run(chosen, Path(output or chosen.output or f"out/{chosen.name}").resolve(), options, native=native)


namespace = Collection(demo, example)
