"""Who takes part in an example, and the steps that a computation and its trial have in common."""

import importlib.util
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.actor import CHECKOUT, Actor, headline
from examples.catalogue import Example


@dataclass(frozen=True)
class Cast:
    """The parties of an example, by its manifest."""

    example: Example
    output: Path
    parties: tuple[Actor, ...]
    """The owner first."""

    agreement: dict[str, Any]
    """The manifest as its author wrote it."""

    @classmethod
    def of(cls, example: Example, output: Path) -> "Cast":
        """The parties of the manifest that ``prepare.py`` has laid out in ``output``."""
        agreement = example.agreement(output)
        names = [example.owner, *(name for name in agreement["parties"] if name != example.owner)]
        return cls(example, output, tuple(Actor(name, output / name) for name in names), agreement)

    @property
    def owner(self) -> Actor:
        """The party that submits the manifest."""
        return self.parties[0]

    @property
    def author(self) -> Actor:
        """The algorithm provider."""
        return self.named(self.agreement["algorithm"]["provider"])

    @property
    def consumers(self) -> list[Actor]:
        """Who fetches the result."""
        return [self.named(name) for name in self.agreement["results"]["consumers"]]

    @property
    def data(self) -> list[tuple[Actor, str, str]]:
        """Provider, name and file of each dataset."""
        return [(self.named(one["provider"]), one["name"], one["file"]) for one in self.agreement["datasets"]]

    @property
    def algorithm(self) -> str:
        """The algorithm's file."""
        return str(self.agreement["algorithm"]["file"])

    @property
    def bundle(self) -> str:
        """The file of the bundle; empty if there is no bundle."""
        return str(self.agreement["algorithm"].get("bundle", ""))

    def named(self, name: str) -> Actor:
        """The party of that name."""
        return next(party for party in self.parties if party.name == name)

    def roles(self, party: Actor) -> list[str]:
        """What the workspace lets a party do."""
        held = {
            "owner": party == self.owner,
            "algorithm-provider": party == self.author,
            "dataset-provider": party in [provider for provider, _, _ in self.data],
            "result-consumer": party in self.consumers,
        }
        return [role for role, holds in held.items() if holds]

    def make_bundle(self, party: Actor) -> None:
        """Let a party make the bundle, whose bytes are the same at every party."""
        if self.bundle:
            party.run(f"cloister bundle {self.example.requirements} --output {self.bundle}")

    def show_result(self, consumer: Actor) -> None:
        """The figures of a result, and what a consumer does with it."""
        headline("The joint model on data that it was not trained on, compared with each party alone")
        consumer.run("cat results/report.txt")
        example = self.example
        missing = [one for one in example.needs if importlib.util.find_spec(one) is None]
        if not missing:
            headline(example.use)
            for command in example.predict(consumer.folder):
                consumer.run(command)
            return
        headline(example.use, f"This Python has no {missing[0]}, so predict.py runs in the image's files.")
        if consumer != self.author:
            self.make_bundle(consumer)
        consumer.run(f"cloister try predict.yaml --root {tree(example)} --unpack results")


def tree(example: Example) -> str:
    """The root file system of the example's image as a folder, for a command line."""
    from image.build import output, root_tree

    return shlex.quote(str(root_tree.unpacked(output.folder(example.flavor, CHECKOUT))))


def forget_results(consumer: Actor) -> None:
    """Delete what an earlier run of the example left at a consumer."""
    for name in ("results.zip", "results.zip.key", "results.zip.part"):
        (consumer.folder / name).unlink(missing_ok=True)
    shutil.rmtree(consumer.folder / "results", ignore_errors=True)
