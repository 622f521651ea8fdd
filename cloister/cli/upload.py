"""The verbs of providers: bring the algorithm or a dataset to a machine that was checked first."""

from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import verb
from cloister.client.files import units
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.client.connection.connection import Connection
    from cloister.protocol.manifest import Asset, Manifest

_RESUMES = "Run the same command again: the upload goes on where it was."
_COMMON_HELP = {**settings.PARTY, "manifest": settings.MANIFEST_HELP, "json": settings.JSON_HELP}


def _upload(connection: "Connection", manifest: "Manifest", pairs: "list[tuple[Asset, Path]]", *, json: bool) -> None:
    """Check every file, then the machine, then send."""
    from cloister.client.computation import upload
    from cloister.client.evidence import verdict

    for asset, path in pairs:
        with show.transfer(f"Checking {asset.file}", asset.size) as progress:
            upload.check(manifest, asset, path, lambda done, size=asset.size, show=progress: show(done, size))
    judged = connection.verdict()
    if not json:
        for line in verdict.summary(judged):
            print(line)
    sent = []
    for asset, path in pairs:
        with show.transfer(f"Uploading {asset.name}", asset.size) as progress:
            done = upload.upload(connection, manifest, asset, path, progress=progress, interrupted=show.interruption)
        sent.append({"asset": asset.name, "digest": asset.digest, "size": asset.size, "sent": done.sent})
        if not json:
            new = "" if done.sent else " (the machine had it already)"
            print(f"Uploaded: {asset.name}, {units.size(asset.size)}, with your consent{new}")
    if json:
        show.facts({"manifest": manifest.digest().hex(), "uploaded": sent})


@verb(
    positional=["path"],
    interrupted=_RESUMES,
    help={
        "path": "the algorithm, the very file that the manifest names",
        **_COMMON_HELP,
        "bundle": "the algorithm's packages, when the manifest names them (default: the named file beside PATH)",
    },
)
def upload_algorithm(
    c: Context,
    path: str,
    key: str | None = None,
    manifest: str | None = None,
    bundle: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    json: bool = False,
) -> None:
    """Upload the algorithm and its packages to a machine that runs your manifest, with your consent."""
    agreed = settings.manifest(c, manifest)
    algorithm = agreed.algorithm
    pairs = [(algorithm.asset, Path(path))]
    if algorithm.bundle is not None:
        beside = Path(path).parent / algorithm.bundle.file
        if not bundle and not beside.exists():
            raise InputError(f"The manifest also names {algorithm.bundle.file}.", hint="Give it with --bundle FILE.")
        pairs.append((algorithm.bundle, Path(bundle) if bundle else beside))
    elif bundle:
        raise InputError("The manifest names no bundle.", hint="Leave --bundle away, or agree on another manifest.")
    digest = agreed.digest()
    with settings.connection(
        c, key=key, cvm=cvm, workspace=workspace, policy=policy, manifest_digest=digest
    ) as connection:
        _upload(connection, agreed, pairs, json=json)


@verb(
    positional=["path"],
    interrupted=_RESUMES,
    help={
        "path": "the dataset: the very file, or folder, that the manifest names",
        **_COMMON_HELP,
        "name": "the dataset's name in the manifest, when you provide several",
    },
)
def upload_data(
    c: Context,
    path: str,
    key: str | None = None,
    manifest: str | None = None,
    name: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    json: bool = False,
) -> None:
    """Upload a dataset to a machine that runs your manifest, with your consent."""
    from cloister.client.computation import upload

    agreed = settings.manifest(c, manifest)
    digest = agreed.digest()
    with settings.connection(
        c, key=key, cvm=cvm, workspace=workspace, policy=policy, manifest_digest=digest
    ) as connection:
        asset = upload.dataset_of(agreed, connection.key.public, name, Path(path))
        _upload(connection, agreed, [(asset, Path(path))], json=json)
