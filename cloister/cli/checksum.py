"""The verb ``checksum``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names
from cloister.protocol.archives.errors import ArchiveError


@party_verb(
    positional=["path"],
    options=[JSON],
    help={
        "path": "a file, or a folder, which counts as one deterministic tar",
        "packed": "do not look into an archive: the algorithm gets the file unchanged (`unpack: false`)",
    },
)
def checksum(settings: Settings, path: str, packed: bool = False) -> None:
    """Print name, digest and size of an asset, as the manifest has them, and what an archive unpacks to."""
    place = Path(path)
    size = place.stat().st_size if place.is_file() else 0
    with show.transfer(f"Reading {path}", size) as progress:
        try:
            found = client.describe_asset(place, lambda done: progress(done, size), unpack=False if packed else None)
        except ArchiveError as error:
            if place.is_dir():
                raise
            hint = f"{error.hint} If it stays packed (`unpack: false`), add --packed."
            raise ArchiveError(error.message, hint=hint) from error
    if found.warning:
        show.note(f"Warning: {found.warning}")
    facts: dict[str, object] = {"file": found.file, "digest": found.digest, "size": found.size}
    if found.unpacked_size is not None:
        facts |= {"unpack": True, "unpacked_size": found.unpacked_size}
    if settings.json:
        show.facts(facts)
    else:
        # Ready to be pasted into the manifest.
        for name, value in (facts | {"file": names.shown(found.file)}).items():
            print(f"{name}: {'true' if value is True else value}")
