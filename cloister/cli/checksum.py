"""The verb ``checksum``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names


@party_verb(
    positional=["path"], options=[JSON], help={"path": "a file, or a folder, which counts as one deterministic tar"}
)
def checksum(settings: Settings, path: str) -> None:
    """Print name, digest and size of an asset, as the manifest has them."""
    place = Path(path)
    size = place.stat().st_size if place.is_file() else 0
    with show.transfer(f"Reading {path}", size) as progress:
        found = client.describe_asset(place, lambda done: progress(done, size))
    if settings.json:
        show.facts({"file": found.file, "digest": found.digest, "size": found.size})
    else:
        # Ready to be pasted into the manifest.
        print(f"file: {names.shown(found.file)}\ndigest: {found.digest}\nsize: {found.size}")
