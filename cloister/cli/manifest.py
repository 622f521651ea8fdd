"""The verb ``manifest``."""

from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import IMAGE, JSON
from cloister.cli.shell.settings import Settings, party_verb


@party_verb(
    positional=["file"],
    options=[IMAGE.described(f"{IMAGE.help}: what the bundle and the program count on must be in it"), JSON],
    help={
        "file": "the manifest as you write it, YAML or JSON",
        "output": "file of the canonical form (default: the same name with .json); never overwritten with a different "
        "manifest",
    },
    example="manifest computation.yaml",
)
def manifest(settings: Settings, file: str, output: str | None = None) -> None:
    """Check a manifest, fill in digests and sizes, and write the canonical form that all parties agree on."""
    source = Path(file)
    target = Path(output) if output else source.with_suffix(".json")
    written = client.write_manifest(source, target, settings.image())
    digest = written.manifest.digest().hex()
    for note in written.notes:
        show.note(note)
    for said in written.warnings:
        show.note(f"Warning: {said}")
    if settings.json:
        show.facts({"manifest": str(written.path), "digest": digest, "warnings": list(written.warnings)})
        return
    for asset in written.manifest.assets():
        print(f"  {asset.name:<16} {asset.provider:<16} {asset.size:>12} bytes  {asset.digest}")
    print(f"{'Unchanged' if written.unchanged else 'Written'}: {written.path}, digest {digest}")
    print(f"Give this file to all parties; each reads it with `{program()} review`.")
