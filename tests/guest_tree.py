"""Fixtures of what runs in the files of this checkout's image, in the namespaces of a trial: no root and no machine."""

from pathlib import Path

import pytest

from cloister.client.trial import program
from cloister.client.trial.engine import TrialError
from image.build import incremental, output, root_tree

SMALL = program.TrialLimits(time=60, memory=256 << 20, cpus=1, processes=32, results=1 << 20, logs=64 << 10)


@pytest.fixture(scope="session")
def tree() -> Path:
    """The files of the image of flavor base, built from this checkout with the cache."""
    incremental.build("base", output.folder("base"), relock=True, say=lambda step: None)
    return root_tree.unpacked(output.folder("base"))


@pytest.fixture(scope="session")
def allowed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree, where this system allows the namespaces of a trial."""
    source = tmp_path_factory.mktemp("allowed") / "nothing.py"
    source.write_text("")
    try:
        program.run(tree, source, limits=SMALL)
    except TrialError as error:
        if "does not let you" in error.message:
            pytest.skip(error.message)
        raise
    return tree
