"""The verbs about what a party provides: its digest, and the packages of an algorithm."""

from pathlib import Path

from invoke.context import Context

from cloister.cli.shell import show
from cloister.cli.shell.settings import JSON_HELP
from cloister.cli.shell.verb import verb


@verb(
    positional=["path"],
    help={"path": "a file, or a folder, which counts as its deterministic tar", "json": JSON_HELP},
)
def checksum(c: Context, path: str, json: bool = False) -> None:
    """Digest and size of an asset, as the manifest wants them."""
    from cloister.client.computation import asset

    place = Path(path)
    size = place.stat().st_size if place.is_file() else 0
    with show.transfer(f"Reading {path}", size) as progress:
        found = asset.digest(place, lambda done: progress(done, size))
    if json:
        show.facts({"file": found.file, "digest": found.digest, "size": found.size})
    else:
        # What an author can paste into the manifest.
        print(f"file: {found.file}\ndigest: {found.digest}\nsize: {found.size}")


@verb(
    positional=["requirements"],
    help={
        "requirements": "requirements.txt with exact versions and hashes",
        "output": "file of the bundle (default: the requirements' name with .bundle)",
        "json": JSON_HELP,
    },
)
def bundle(c: Context, requirements: str, output: str | None = None, json: bool = False) -> None:
    """Pack the Python packages that an algorithm needs into one file, the same bytes on every machine."""
    from cloister.client.computation import bundle as bundles

    source = Path(requirements)
    target = Path(output) if output else source.with_suffix(".bundle")
    if not json:
        show.note(f"Packing the wheels of {source}; those that are not in the cache are fetched first ...")
    made = bundles.make(source, target)
    if json:
        wheels = [wheel.path.name for wheel in made.wheels]
        show.facts({"bundle": str(made.path), "digest": made.digest_hex, "size": made.size, "wheels": wheels})
        return
    for wheel in made.wheels:
        print(f"  {wheel.path.name}")
    print(f"Written: {made.path}, {made.size} bytes, SHA-256 {made.digest_hex}")
