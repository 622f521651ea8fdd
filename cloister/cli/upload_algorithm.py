"""The verb ``upload-algorithm``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell.options import JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["path"],
    interrupted="Run the same command again: the upload resumes.",
    options=[*PARTY, MANIFEST, JSON],
    help={
        "path": "the algorithm that the manifest names",
        "bundle": "the algorithm's packages, if the manifest names a bundle (default: that file beside PATH)",
    },
)
def upload_algorithm(settings: Settings, path: str, bundle: str | None = None) -> None:
    """Upload the algorithm and its packages to a machine that runs your manifest, with your consent."""
    from cloister.cli.shell.reports import UploadPrinter

    manifest = settings.manifest()
    printer = UploadPrinter(json=settings.json)
    with settings.connection(manifest) as connection:
        packages = Path(bundle) if bundle else None
        uploads = client.upload_algorithm(connection, manifest, Path(path), bundle=packages, report=printer)
    printer.finish(manifest, uploads)
