"""An example as a trial: the algorithm in the guest image's files and sandbox on this machine, without a CVM."""

import os
import shlex

from examples.actor import headline
from examples.cast import Cast, forget_results, tree


def try_example(cast: Cast) -> None:
    """Run the example's algorithm by `try` on all data at once, and use its result. Raises CloisterError."""
    author, consumer = cast.author, cast.consumers[0]
    for party in cast.consumers:
        forget_results(party)
    if cast.bundle:
        headline(f"The {author.name} bundles its packages")
        cast.make_bundle(author)
    headline("A trial on this machine: nothing is protected, so all data are in one place")
    data = [
        f"--data {name}={shlex.quote(os.path.relpath(provider.folder / file, author.folder))}"
        for provider, name, file in cast.data
    ]
    results = shlex.quote(os.path.relpath(consumer.folder / "results", author.folder))
    author.run(
        f"cloister try manifest.yaml --root {tree(cast.example)} {' '.join(data)} --unpack {results}",
    )
    cast.show_result(consumer)
