"""The verb ``export``."""

from collections.abc import Sequence
from pathlib import Path

from cloister import client
from cloister.cli.shell import show
from cloister.cli.shell.arguments import named_paths
from cloister.cli.shell.command_line import program
from cloister.cli.shell.options import JSON, POLICY
from cloister.cli.shell.settings import Settings, party_verb
from cloister.protocol import names


@party_verb(
    positional=["manifest"],
    repeated=["rule", "file"],
    options=[POLICY.described("your policy, for the receiver to read (default: $CLOISTER_POLICY)"), JSON],
    help={
        "manifest": "the manifest of the computation, as `manifest` writes it",
        "output": "file to write (default: the manifest's name with .cloister)",
        "rule": "a standing rule, for the receiver to read; may be repeated",
        "algorithm": "the program, if the receiver may have it; the bundle beside it is added, too",
        "bundle": "the bundle, if the receiver may have it",
        "file": "NAME=PATH: a file of the algorithm, if the receiver may have it; may be repeated",
    },
    example="export computation.json --algorithm train.py --output covid19.cloister",
)
def export(
    settings: Settings,
    manifest: str,
    output: str = "",
    rule: Sequence[str] | None = None,
    algorithm: str | None = None,
    bundle: str | None = None,
    file: Sequence[str] | None = None,
) -> None:
    """Write a computation's definition to one file, for another workspace: without data and private keys."""
    path = Path(manifest)
    target = Path(output) if output else path.with_suffix(".cloister")
    parts = client.export_computation(
        client.load_manifest(path),
        target,
        policy=settings.policy() if settings.path("policy") else None,
        rules=[Path(one) for one in rule or ()],
        algorithm=Path(algorithm) if algorithm else None,
        bundle=Path(bundle) if bundle else None,
        files=named_paths("file", file or ()),
    )
    if settings.json:
        show.facts({"file": str(target), "parts": list(parts)})
        return
    print(f"Written: {target}")
    for part in parts:
        print(f"  {names.shown(part)}")
    print(f"In the other workspace: {program()} import {names.quoted(str(target))}")
