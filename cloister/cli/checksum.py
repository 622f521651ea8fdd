"""The verb ``checksum``."""

from collections.abc import Callable
from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.archives.errors import ArchiveError


@party_verb(
    positional=["path"],
    options=[JSON],
    help={
        "path": "a file, or a folder, which counts as one deterministic tar",
        "kind": "the file is an algorithm of this kind (binary, python, ...): examine it as `manifest` does",
        "packed": "do not look into an archive: the algorithm gets the file unchanged (`unpack: false`)",
    },
    example="checksum h1.csv",
)
def checksum(settings: Settings, path: str, kind: str | None = None, packed: bool = False) -> None:
    """Print name, digest and size of an asset, as the manifest has them, and what an archive unpacks to."""
    if kind is not None and packed:
        raise InputError("--packed is for datasets, and --kind for algorithms.", hint="Omit one of them.")
    place = Path(path)
    size = place.stat().st_size if place.is_file() else 0
    with show.transfer(f"Reading {path}", size) as progress:
        if kind is not None:
            found, examined = client.describe_algorithm(place, kind, lambda done: progress(done, size))
            warnings = examined.warnings
            container = examined.container
        else:
            found = _dataset(place, packed, lambda done: progress(done, size))
            warnings = tuple(filter(None, (found.warning, found.name_warning)))
            container = None
    for said in warnings:
        show.note(f"Warning: {said}")
    facts: dict[str, object] = {"file": found.file, "digest": found.digest, "size": found.size}
    if found.unpacked_size is not None:
        facts |= {"unpack": True, "unpacked_size": found.unpacked_size}
    if container is not None:
        facts["container"] = {"digest": container.digest, "unpacked_size": container.unpacked_size}
    if settings.json:
        show.facts(facts)
    else:
        # Ready to be pasted into the manifest.
        for name, value in (facts | {"file": names.shown(found.file)}).items():
            print(f"{name}: {_yaml(value)}")


def _yaml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_yaml(inner)}" for name, inner in value.items()) + "}"
    return "true" if value is True else str(value)


def _dataset(place: Path, packed: bool, progress: Callable[[int], None]) -> "client.LocalAsset":
    try:
        return client.describe_asset(place, progress, unpack=False if packed else None)
    except ArchiveError as error:
        if place.is_dir():
            raise
        hint = f"{error.hint} If it stays packed (`unpack: false`), add --packed."
        raise ArchiveError(error.message, hint=hint) from error
