"""The verbs of an owner: start a computation, stop it, give the machine a new life."""

from invoke.context import Context

from cloister.cli.shell import settings, show
from cloister.cli.shell.verb import program, verb
from cloister.cli.watch import show_timeline


@verb(
    interrupted="What the machine has taken goes on: `status` shows it, and `events --follow` the rest.",
    help={
        **settings.PARTY,
        "manifest": "the manifest in canonical form (default: $CLOISTER_MANIFEST)",
        "detach": "do not wait for the end",
        "json": settings.JSON_HELP,
    },
)
def run(
    c: Context,
    manifest: str | None = None,
    key: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    detach: bool = False,
    json: bool = False,
) -> None:
    """Submit the manifest, then show the timeline until the computation ends."""
    from cloister.client.computation import submission, timeline

    agreed = settings.manifest(c, manifest)
    demanded = settings.policy(c, policy)
    target = settings.target(c, cvm=cvm, workspace=workspace, policy=demanded)
    with submission.submit(target, settings.key(c, key), agreed) as connection:
        if json and detach:
            show.facts({"manifest": agreed.digest().hex(), "address": str(target.address)})
        elif not json:
            print(f"Accepted: manifest {agreed.digest().hex()}, measured by the machine at {target.address}.")
            for asset in agreed.assets():
                print(f"  {asset.provider} uploads {asset.name} ({asset.file})")
        if detach:
            return
        known = timeline.names(agreed.parties, settings.member_names(c, workspace))
        show_timeline(timeline.Follower(connection), known, follow=True, json=json)


@verb(help=settings.PARTY)
def stop(
    c: Context,
    key: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
) -> None:
    """Stop the computation for good; everything that was uploaded is wiped."""
    with settings.connection(c, key=key, cvm=cvm, workspace=workspace, policy=policy) as connection:
        connection.call(lambda session: session.stop())
        print(
            f"Stopped: the computation at {connection.target.address}. `{program()} reset` makes it ready for another."
        )


@verb(
    interrupted="A machine that was told boots anyway; `attest` shows when it is there.",
    help={**settings.PARTY, "detach": "do not wait until the machine is back"},
)
def reset(
    c: Context,
    key: str | None = None,
    cvm: str | None = None,
    workspace: str | None = None,
    policy: str | None = None,
    detach: bool = False,
) -> None:
    """Wipe the machine and boot it afresh: new keys, no manifest, nothing left."""
    from cloister.client.computation import reset as restart

    with settings.connection(c, key=key, cvm=cvm, workspace=workspace, policy=policy) as connection:
        old = restart.reset(connection)
        if detach:
            print(f"Resetting: the machine at {connection.target.address}.")
            return
        show.note("The machine boots again; that takes about half a minute without hardware virtualisation ...")
        restart.wait(connection.target, old)
        print(f"Ready: the machine at {connection.target.address} is accepted by your policy, and has no manifest.")
