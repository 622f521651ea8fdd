"""The verbs about what the parties agree on."""

from pathlib import Path

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import program, verb
from cloister.errors import InputError


@verb(
    positional=["file"],
    help={
        "file": "the manifest as you write it, YAML or JSON",
        "output": "file of the canonical form (default: the same name with .json); never overwritten, kept "
        "when nothing has changed",
        "json": settings.JSON_HELP,
    },
)
def manifest(c: Context, file: str, output: str | None = None, json: bool = False) -> None:
    """Check a manifest, fill in digests and sizes, and write the canonical form that everybody agrees on."""
    from cloister.client.computation import manifest as manifests

    source = Path(file)
    target = Path(output) if output else source.with_suffix(".json")
    if target.resolve() == source.resolve():
        raise InputError(f"The canonical form would replace {source}.", hint="Name another file with --output.")
    before = manifests.written(target)
    made = manifests.compose(source, before)
    if before is None:
        show.write_file(target, made.encode())
    elif members := manifests.differing(before, made):
        raise InputError(
            f"{source} has changed since {target} was written: {', '.join(members)}. It is not overwritten.",
            hint="Whoever has that manifest would take yours for another one. Remove it if nobody has it, else name "
            "another file with --output.",
        )
    if json:
        show.facts({"manifest": str(target), "digest": made.digest().hex()})
        return
    for asset in made.assets():
        print(f"  {asset.name:<16} {asset.provider:<16} {asset.size:>12} bytes  {asset.digest}")
    print(f"{'Unchanged' if before else 'Written'}: {target}, digest {made.digest().hex()}")
    print(f"Give this file to everybody who takes part; each looks at it with `{program()} review`.")


@verb(
    positional=["manifest"],
    help={
        "manifest": "a manifest in canonical form",
        "key": f"{settings.KEY_HELP}, to see which party you are",
        "json": settings.JSON_HELP,
    },
)
def review(c: Context, manifest: str, key: str | None = None, json: bool = False) -> None:
    """What you agree to with a manifest, in plain words."""
    from cloister.client.computation import manifest as manifests
    from cloister.client.computation import review as reviews
    from cloister.client.files import keys

    mine = settings.setting(c, "key", key)
    read = manifests.load(Path(manifest))
    sections = reviews.review(read, keys.load(mine).public if mine else None)
    if json:
        show.facts({"digest": read.digest().hex(), "sections": [section.value() for section in sections]})
        return
    for section in sections:
        print(section.title)
        for line in section.lines:
            print(f"  {'! ' if section.warning else ''}{line}")
        print()
