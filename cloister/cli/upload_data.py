"""The verb ``upload-data``."""

from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    several="paths",
    interrupted="Run the same command again: the upload resumes.",
    options=[*PARTY, MANIFEST, JSON],
    help={
        "paths": "the datasets that the manifest names, files or folders",
        "name": "the dataset's name in the manifest, if you provide several",
    },
    example="upload-data h1.csv --manifest computation.json",
)
def upload_data(settings: Settings, paths: list[str], name: str | None = None) -> None:
    """Upload datasets to a machine that runs your manifest, with your consent."""
    from cloister.cli.shell.reports import UploadPrinter

    manifest = settings.manifest()
    printer = UploadPrinter(json=settings.json)
    with printer.interruptible(), settings.connect(manifest) as machine:
        uploads = machine.upload_data(*paths, name=name, report=printer)
    printer.finish(manifest, uploads)
