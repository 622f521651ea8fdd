"""A dry run of an author's manifest on this machine: real launcher and sandbox, harmless data, no protection."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cloister.client.result.result_files import unpack_result
from cloister.client.trial import engine
from cloister.client.trial.engine import Show
from cloister.client.trial.report import TrialReport
from cloister.client.trial.source import compose_trial
from cloister.client.trial.tree import open_tree, python_packages
from cloister.errors import InputError, ProofError
from cloister.protocol import archive
from cloister.userfile import FilePath


def try_computation(
    manifest: FilePath,
    root: FilePath,
    data: Mapping[str, FilePath],
    show: Show = lambda printed: None,
    unpack: FilePath | None = None,
    note: Callable[[str], None] = lambda said: None,
    warn: Callable[[str], None] = lambda said: None,
) -> TrialReport:
    """Run an author's manifest on harmless data, as a machine would, without a virtual machine and without root.

    Args:
        manifest: the manifest as its author writes it. Keys, digests and sizes in it do not matter.
        root: the file from `invoke image.export`, or the folder of an image's root file system.
        data: mock data by the name of a dataset, a file or a folder; needed for each dataset whose file is not here.
        show: called with what the algorithm prints, as it comes.
        unpack: write the results below this folder if a machine would hand them out; None keeps nothing.
        note: called, before the run, with each sentence that the author should read.
        warn: called, before the run, with what may fail: the warnings of `manifest`.

    Returns:
        The outcome as a machine would report it, what the run used, and the limits to write into the manifest.

    Raises:
        InputError: the manifest is invalid, a file is missing, ``root`` is not the tree of a guest image, or the
            results cannot be written.
        TrialError: this system does not allow the namespaces of a trial.
    """
    manifest = Path(manifest)
    root = Path(root)
    mock = {name: Path(one) for name, one in data.items()}
    unpack = Path(unpack) if unpack is not None else None
    tree = open_tree(root)
    notes: list[str] = []
    warnings: list[str] = []
    composed, assets = compose_trial(manifest, mock, python_packages(tree), notes, warnings)
    for said in notes:
        note(said)
    for said in warnings:
        warn(said)
    if unpack is None:
        return engine.run(tree, composed, assets, show).told(notes, warnings)
    with tempfile.NamedTemporaryFile(suffix=".zip") as kept:
        report = engine.run(tree, composed, assets, show, kept.file)
        if report.ok:
            _check(Path(kept.name), root)
            unpack_result(Path(kept.name), unpack)
        return report.told(notes, warnings)


def _check(kept: Path, root: Path) -> None:
    """Raise InputError unless ``kept`` is a zip as a machine writes it: the program in the tree made it."""
    try:
        archive.check_zip(kept)
    except ProofError as error:
        raise InputError(
            f"The program in {root} did not hand out the results: {error.message}",
            hint="Build the image again, or ask the platform team for the file that `invoke image.export` writes.",
        ) from error
