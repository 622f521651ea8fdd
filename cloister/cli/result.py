"""The verb of a consumer: fetch the result, once."""

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from cloister import userfile
from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import verb
from cloister.cli.watch import show_timeline
from cloister.errors import InputError

if TYPE_CHECKING:
    from cloister.client.connection.connection import Connection
    from cloister.protocol.manifest import Manifest


@verb(
    interrupted="Run the same command again: it goes on where it was.",
    help={
        **settings.PARTY,
        "manifest": settings.MANIFEST_HELP,
        "output": "file of the result (default: results.zip)",
        "unpack": "also write the result's files into this folder",
        "wait": "wait until the result is ready, and show the timeline meanwhile",
        "json": settings.JSON_HELP,
    },
)
def result(
    c: Context,
    key: str | None = None,
    manifest: str | None = None,
    output: str = "results.zip",
    unpack: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    wait: bool = False,
    json: bool = False,
) -> None:
    """Fetch the result: its key goes out once, and it is proven before it counts."""
    from cloister.client.result import proof, result_files
    from cloister.client.result import result as results

    agreed = settings.manifest(c, manifest)
    demanded = settings.policy(c, policy)
    try:
        target = userfile.destination(Path(output))
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror}.") from error
    if results.pending_key(target):
        show.note("The key is here from an earlier call: decrypting without asking the machine.")
    else:
        if target.exists():
            raise InputError(f"{target} exists.", hint="Name another file with --output, or move that one away.")
        with settings.connection(
            c, key=key, cvm=cvm, workspace=workspace, policy=policy, manifest_digest=agreed.digest()
        ) as connection:
            if wait:
                _wait(c, connection, agreed, workspace, json=json)
            with show.transfer("Fetching the result", agreed.results.max_size) as progress:
                results.fetch(connection, agreed, target, progress=progress, interrupted=show.interruption)
    fetched = results.finish(agreed, demanded, target, vendors=settings.vendors(c))
    files = result_files.unpack(target, Path(unpack)) if unpack else []
    if json:
        show.facts({"output": str(target), "files": [str(file) for file in files], "proof": fetched.proof.value()})
        return
    for statement in fetched.proof.statements:
        print(f"  {statement.outcome.value:<11}  {statement.text}: {statement.detail}")
    if today := proof.why_not_today(fetched.proof):
        print(f"  As of today your policy would say: {today}")
    print(f"Result: {target}")
    for file in files:
        print(f"  {file}")


def _wait(c: Context, connection: "Connection", agreed: "Manifest", workspace: str | None, *, json: bool) -> None:
    from cloister.client.computation.timeline import ENDED, Follower, names
    from cloister.protocol.events import State

    follower, until = Follower(connection), ENDED | {State.CONSUMING}
    if json:
        # One document on standard output, not two; the fetch says when there is nothing to fetch.
        deque(follower.records(follow=True, until=until), maxlen=0)
    else:
        known = names(agreed.parties, settings.member_names(c, workspace))
        show_timeline(follower, known, follow=True, until=until)
