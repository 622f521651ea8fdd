"""The verb ``bundle``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.options import JSON
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["requirements"],
    options=[JSON],
    help={
        "requirements": "requirements.txt with exact versions and hashes",
        "output": "file of the bundle (default: the name of the requirements with .bundle)",
    },
)
def bundle(settings: Settings, requirements: str, output: str | None = None) -> None:
    """Pack the Python packages of an algorithm into one file, with the same bytes on every machine."""
    source = Path(requirements)
    target = Path(output) if output else source.with_suffix(".bundle")
    if not settings.json:
        show.note(f"Packing the wheels of {source}, after downloading those that are not cached ...")
    made = client.make_bundle(source, target)
    if settings.json:
        wheels = [wheel.path.name for wheel in made.wheels]
        show.facts({"bundle": str(made.path), "digest": made.digest_hex, "size": made.size, "wheels": wheels})
        return
    for wheel in made.wheels:
        print(f"  {wheel.path.name}")
    print(f"Written: {made.path}, {made.size} bytes, SHA-256 {made.digest_hex}")
