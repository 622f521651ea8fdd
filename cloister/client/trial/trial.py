"""A dry run of an author's manifest on this machine: real launcher and sandbox, harmless data, no protection."""

from collections.abc import Mapping
from pathlib import Path

from cloister.client.trial import engine
from cloister.client.trial.engine import Show
from cloister.client.trial.report import TrialReport
from cloister.client.trial.source import compose_trial
from cloister.client.trial.tree import open_tree


def try_computation(
    manifest: Path, root: Path, data: Mapping[str, Path], show: Show = lambda printed: None
) -> TrialReport:
    """Run an author's manifest on harmless data, as a machine would, without a virtual machine and without root.

    Args:
        manifest: the manifest as its author writes it. Keys, digests and sizes in it do not matter.
        root: the file from `invoke image.export`, or the folder of an image's root file system.
        data: mock data by the name of a dataset, a file or a folder; needed for each dataset whose file is not here.
        show: called with what the algorithm prints, as it comes.

    Returns:
        The outcome as a machine would report it, what the run used, and the limits to write into the manifest.

    Raises:
        InputError: the manifest is invalid, a file is missing, or ``root`` is not the tree of a guest image.
        TrialError: this system does not allow the namespaces of a trial.
    """
    composed, assets = compose_trial(manifest, data)
    return engine.run(open_tree(root), composed, assets, show)
