"""The verb ``upload-algorithm``."""

from collections.abc import Sequence

from cloister.cli.shell.arguments import named_paths
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["path"],
    interrupted="Run the same command again: the upload resumes.",
    repeated=["file"],
    options=[*PARTY, MANIFEST, JSON],
    help={
        "path": "the algorithm that the manifest names",
        "bundle": "the algorithm's packages, if the manifest names a bundle (default: that file beside PATH)",
        "file": "NAME=PATH: a file of the algorithm, by its name in the manifest (default: beside PATH, where the "
        "manifest places it, or under its file name); may be repeated",
    },
    example="upload-algorithm train.py --bundle numpy.bundle --manifest computation.json",
)
def upload_algorithm(
    settings: Settings, path: str, bundle: str | None = None, file: Sequence[str] | None = None
) -> None:
    """Upload the algorithm with its packages and files to a machine that runs your manifest, with your consent."""
    from cloister.cli.shell.reports import UploadPrinter

    manifest = settings.manifest()
    files = named_paths("file", file or ())
    printer = UploadPrinter(json=settings.json)
    with printer.interruptible(), settings.connect(manifest) as machine:
        uploads = machine.upload_algorithm(path, bundle=bundle or None, files=files, report=printer)
    printer.finish(manifest, uploads)
