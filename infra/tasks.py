"""The platform team's verbs: the collections ``workspace`` and ``member``, and the verbs that set up a machine.

Modules are imported inside the functions: `invoke --list` must not wait for Pulumi's SDK.

Long because each verb has its options, their help and an example here, and does nothing itself.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.collection import Collection

from cloister.cli.shell import show
from cloister.cli.shell.verb import verb
from infra.options import JSON, WORKSPACE, YES, after_down
from infra.registry.tasks import namespace as registry

if TYPE_CHECKING:
    from cloister.machinecheck import MachineCheck


@verb(
    positional=["name"],
    help={
        "name": "name of the workspace: lowercase letters, digits and '-'",
        "backend": "local (this machine), azure or gcp",
        "image": "flavor of the guest image, or path of an image manifest",
        "cvm": "name of its CVM",
        "memory": "memory of the CVM, for example 4GiB; in a cloud, the smallest machine type that has it is used",
        "scratch": "size of the CVM's encrypted scratch disk, for example 200GiB (default: none)",
        "vcpus": "number of processors of the CVM",
        "port": "local: port on this machine (default: a free port derived from the CVM's name)",
        "cpu": "local: QEMU's CPU model and features, for example max,-avx2",
        "tee": "clouds: sev-snp or tdx",
        "zone": "clouds: zone of the CVM; azure: 1, 2 or 3 (optional), gcp: the last letter of the zone's name",
        "ingress": "clouds: networks that may reach the agents, comma-separated",
        "endpoint": "clouds: private or public, whether the CVM has a public address (default: private)",
        "registry": "clouds: name of the registry that holds the image",
        "subscription": "azure: ID of the subscription",
        "tenant": "azure: ID of the tenant",
        "location": "azure: for example westeurope",
        "project": "gcp: ID of the project",
        "region": "gcp: for example europe-west4",
    },
    example="invoke workspace.new trial --memory 4GiB",
)
def new(
    c: Any,
    name: str,
    backend: str = "local",
    image: str = "base",
    cvm: str = "trainer",
    memory: str = "4GiB",
    scratch: str = "",
    vcpus: int = 2,
    port: int = 0,
    cpu: str = "",
    tee: str = "",
    zone: str = "",
    ingress: str = "",
    endpoint: str = "",
    registry: str = "",
    subscription: str = "",
    tenant: str = "",
    location: str = "",
    project: str = "",
    region: str = "",
) -> None:
    """Create a workspace: a Pulumi stack with its configuration. Starts nothing."""
    options = {key: value for key, value in locals().items() if key not in ("c", "name")}
    from infra.live import workspaces

    workspaces.create(name, options)
    print(f"Workspace {name} is configured in infra/Pulumi.{name}.yaml.")
    print("Next: add members with invoke member.add NAME --key FILE --roles owner, then run invoke workspace.up")


@verb(
    help=WORKSPACE
    | YES
    | {
        "force": "replace a CVM even if its run is unfinished or its agent does not answer",
        "replace": "name of a CVM to replace, for example one whose failure the cloud does not report",
    },
    interrupted="A CVM that was starting was removed; run the same command again to start it.",
    example="invoke workspace.up",
)
def up(c: Any, stack: str = "", yes: bool = False, force: bool = False, replace: str = "") -> None:
    """Bring the workspace into the state that its configuration describes (pulumi up)."""
    from infra.live import workspaces

    name = workspaces.PROJECT.selected(stack)
    workspaces.up(name, yes=yes, force=force, replace=replace)
    print(f"Workspace {name} is up. For its parties: invoke workspace.export --stack {name} --output FILE")


@verb(help=WORKSPACE | JSON, example="invoke workspace.status")
def status(c: Any, stack: str = "", json: bool = False) -> None:
    """Show the workspace's CVMs: endpoints, whether they run and answer, and differences from the configuration."""
    from infra import report
    from infra.live import status, workspaces

    report.status(status.of(workspaces.PROJECT.selected(stack)), as_json=json)


@verb(
    help=WORKSPACE | JSON | {"planned": "show what the configuration would create, from a preview"},
    example="invoke workspace.reach --planned",
)
def reach(c: Any, stack: str = "", json: bool = False, planned: bool = False) -> None:
    """Show who can reach what in the workspace, from its declared rules, routes and addresses."""
    from infra import report
    from infra.live import workspaces

    report.reach(workspaces.reach(workspaces.PROJECT.selected(stack), planned=planned), as_json=json)


@verb(help=WORKSPACE | JSON, example="invoke workspace.graph")
def graph(c: Any, stack: str = "", json: bool = False) -> None:
    """Draw the workspace's file, without a cloud: resources, and who can reach what, as a Mermaid flowchart."""
    from infra import report
    from infra.live import rehearsed

    report.graph(rehearsed.graph(stack), as_json=json)


@verb(
    help=WORKSPACE | {"output": "write to this file instead of the screen"},
    example="invoke workspace.export --output workspace.json",
)
def export(c: Any, stack: str = "", output: str = "") -> None:
    """Print the workspace descriptor for the parties (their option --workspace FILE)."""
    from infra import report
    from infra.live import workspaces

    report.descriptor(workspaces.descriptor(workspaces.PROJECT.selected(stack)), Path(output) if output else None)


@verb(
    help=WORKSPACE | {"cvm": "name of the CVM (default: the only CVM with a console)"},
    example="invoke workspace.console --cvm trainer",
)
def console(c: Any, stack: str = "", cvm: str = "") -> None:
    """Connect to the serial console of a CVM with a debug image."""
    from infra.live import serial_console, workspaces

    serial_console.open_console(workspaces.PROJECT.selected(stack), cvm)


@verb(
    help=WORKSPACE
    | YES
    | {
        "remove": "also remove the stack, its keys and its configuration",
        "force": "delete a CVM even if its run is unfinished or its agent does not answer",
    },
    interrupted="Run the same command again to delete what is left.",
    example="invoke workspace.down --remove",
)
def down(c: Any, stack: str = "", yes: bool = False, remove: bool = False, force: bool = False) -> None:
    """Delete the workspace's CVMs and what belongs to them (pulumi destroy). Keeps configuration and keys."""
    from infra.live import workspaces

    name = workspaces.PROJECT.selected(stack)
    workspaces.down(name, yes=yes, force=force, remove=remove)
    print(after_down("workspace", name, "its configuration and keys", removed=remove))


@verb(help=JSON, example="invoke workspace.list")
def list_(c: Any, json: bool = False) -> None:
    """List the workspaces of this checkout."""
    from infra import report
    from infra.live import workspaces

    report.workspaces({name: workspaces.cvms(name) for name in workspaces.PROJECT.names()}, as_json=json)


@verb(
    positional=["name"],
    required=["key", "roles"],
    help={
        "name": "name of the member",
        "key": "file with the member's public key: PEM, DER, an OpenSSH line or a certificate",
        "roles": "comma-separated: owner, algorithm-provider, dataset-provider, result-consumer, auditor",
    }
    | WORKSPACE,
    example="invoke member.add hospital-1 --key hospital-1.pub --roles dataset-provider",
)
def add(c: Any, name: str, key: str = "", roles: str = "", stack: str = "") -> None:
    """Add a member to the workspace, or replace key and roles of the member with that name."""
    from infra.live import members, workspaces

    wanted = tuple(part for part in roles.split(",") if part)
    added = members.add(workspaces.PROJECT.selected(stack), name, Path(key), wanted)
    if added.note:
        show.note(added.note)
    print(f"{name}: {', '.join(added.member.roles)}; key {added.member.key_digest()}")


@verb(
    positional=["name"],
    required=["roles"],
    help={
        "name": "name that the member will have",
        "roles": "comma-separated: owner, algorithm-provider, dataset-provider, result-consumer, auditor",
        "output": "file of the invitation (default: NAME.invitation.json)",
    }
    | WORKSPACE,
    example="invoke member.invite hospital-1 --roles dataset-provider",
)
def invite(c: Any, name: str, roles: str = "", output: str = "", stack: str = "") -> None:
    """Write an invitation to the workspace, which a future member answers with `cloister join`."""
    from infra.live import members, workspaces

    path = Path(output or f"{name}.invitation.json")
    wanted = tuple(part for part in roles.split(",") if part)
    made = members.invite(workspaces.PROJECT.selected(stack), name, wanted, path)
    print(f"{path} invites {name} to the workspace {made.workspace}: {', '.join(made.roles)}. It holds no secret.")
    print(f"Next: {name} runs cloister join {path.name} and sends the answer; you run invoke member.admit ANSWER")


@verb(
    positional=["file"],
    help={"file": "the answer to an invitation"} | WORKSPACE | YES,
    example="invoke member.admit hospital-1.answer.json",
)
def admit(c: Any, file: str, stack: str = "", yes: bool = False) -> None:
    """Add the member who answered an invitation, after you have compared the fingerprint of the key."""
    from infra.live import members, workspaces

    name = workspaces.PROJECT.selected(stack)
    found = members.answered(name, Path(file))
    print(f"Member       {found.member.name}: {', '.join(found.member.roles)}")
    if found.replaces:
        print(f"Replaces     the key {found.replaces} of the member with this name")
    print(
        f"Fingerprint  {found.member.key_digest()}   compare it with the member over another channel, such as the phone"
    )
    if yes or show.confirmed("Is it the same?"):
        members.admit(name, found)
        print(f"{found.member.name} is a member. An owner takes part after the next invoke workspace.up.")
    else:
        print("Nothing was changed.")


@verb(positional=["name"], help={"name": "name of the member"} | WORKSPACE, example="invoke member.remove hospital-1")
def remove_(c: Any, name: str, stack: str = "") -> None:
    """Remove a member from the workspace's configuration, or an invitation that was not answered."""
    from infra.live import members, workspaces

    if members.remove(workspaces.PROJECT.selected(stack), name):
        print(f"{name} is no longer a member. Running CVMs keep their owners until the next invoke workspace.up.")
    else:
        print(f"{name} is no longer invited.")


@verb(help=WORKSPACE | JSON, example="invoke member.list")
def members(c: Any, stack: str = "", json: bool = False) -> None:
    """List the members of the workspace with their roles and key digests."""
    from infra import report
    from infra.live import members, workspaces

    report.members(members.entries(workspaces.PROJECT.selected(stack)), as_json=json)


@verb(
    help={"relock": "if no mirror has a locked package of the host tools any more, write a new lock under out/"},
    interrupted="Run the same command again: finished steps are not repeated.",
    example="invoke setup",
)
def setup(c: Any, relock: bool = False) -> None:
    """Set up this machine: Pulumi engine, host tools, .cloister/env. Prints a line before each long step."""
    from infra.setup import run

    run(relock=relock)


def examine() -> "list[MachineCheck]":
    """What the platform team needs on this machine, for the verb ``doctor``."""
    from infra import doctor

    return doctor.examine()


@verb(
    help=JSON | {"clear": "remove the cache: the next setup fetches and builds everything again"},
    example="invoke cache",
)
def cache(c: Any, json: bool = False, clear: bool = False) -> None:
    """Show the sizes of this user's caches: engine, host tools, inputs of images, wheels, trees of trials."""
    from infra import caches, report

    if clear:
        caches.clear()
    report.sizes(caches.sizes(), as_json=json)


@verb(help=YES, example="invoke clean")
def clean(c: Any, yes: bool = False) -> None:
    """Remove what was built in this checkout (out/). Refuses while a workspace is up."""
    from infra import caches

    removed = caches.clean(ask=not yes)
    print(f"Removed: {', '.join(str(path) for path in removed) or 'nothing'}.")


workspace = Collection("workspace", new, up, status, reach, graph, export, console, down)
workspace.add_task(list_, name="list")
member = Collection("member", add, invite, admit)
member.add_task(remove_, name="remove")
member.add_task(members, name="list")
namespace = Collection(workspace, member, registry, setup, cache, clean)
