"""The platform team's verbs: the collections ``workspace`` and ``member``, and what sets a machine up.

Everything heavy is imported inside the bodies: `invoke --list` must not wait for Pulumi's SDK.
"""

from pathlib import Path
from typing import Any

from invoke.collection import Collection

from cloister.cli.shell.verb import verb
from infra.registry.tasks import namespace as registry

_SEVERAL = 2
_STACK = "the workspace; by default the one that pulumi has selected"


@verb(
    positional=["name"],
    help={
        "name": "name of the workspace: lower-case letters, digits and '-'",
        "backend": "local (this machine), azure or gcp",
        "image": "flavor of the guest image, or the path of an image's manifest",
        "cvm": "name of its CVM",
        "memory": "memory of the CVM, for example 4GiB; a cloud's smallest machine that has it is taken",
        "vcpus": "processors of the CVM",
        "port": "local: port on this machine; by default a free one that follows from the CVM's name",
        "tee": "clouds: sev-snp or tdx",
        "zone": "clouds: zone of the CVM, in azure 1, 2 or 3 (optional), in gcp its last letter",
        "ingress": "clouds: networks that may reach the agents, with commas",
        "endpoint": "clouds: private (default) or public, whether the CVM has a public address",
        "registry": "clouds: the registry that holds the image, by its name",
        "subscription": "azure: id of the subscription",
        "tenant": "azure: id of the tenant",
        "location": "azure: for example westeurope",
        "project": "gcp: id of the project",
        "region": "gcp: for example europe-west4",
    },
)
def new(
    c: Any,
    name: str,
    backend: str = "local",
    image: str = "base",
    cvm: str = "trainer",
    memory: str = "4GiB",
    vcpus: int = 2,
    port: int = 0,
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
    """Make a workspace: a Pulumi stack with its configuration, nothing started yet."""
    from infra.configuration import new as draft
    from infra.configuration import workspace
    from infra.live import workspaces as stack
    from infra.registry import registries

    said = {key: value for key, value in locals().items() if isinstance(value, str | int) and key != "name"}
    workspace.check_workspace_name(name)
    settings = draft.write(name, said)
    # A full name may be that of a registry which somebody else's Pulumi keeps.
    if registry and "/" not in registry:
        registries.PROJECT.selected(registry)
    stack.create(name, settings)
    if backend != workspace.LOCAL:
        stack.PROJECT.use_declared_providers_only(name)
    print(f"Workspace {name} is configured in infra/Pulumi.{name}.yaml.")
    print("Next: its members, invoke member.add NAME --key FILE --roles owner; then invoke workspace.up")


@verb(
    help={
        "stack": _STACK,
        "yes": "do not ask",
        "force": "replace a CVM even when its run is unfinished or cannot be asked about",
        "replace": "name of a CVM to make anew, for example one that a cloud does not say is dead",
    },
    interrupted="A machine that was starting is gone; the same command starts it again.",
)
def up(c: Any, stack: str = "", yes: bool = False, force: bool = False, replace: str = "") -> None:
    """Bring the workspace into the state that its configuration describes (pulumi up)."""
    import os

    from infra.live import workspaces as stacks

    name = stacks.selected(stack)
    stacks.check(name, new=True)
    if force:
        os.environ["CLOISTER_FORCE"] = "1"
    words = ["--replace", stacks.cvm(name, replace).urn] if replace else []
    words += ["--yes"] if yes else []
    # Who does not want to be asked needs no preview to answer by; what it refuses, the update refuses too.
    # But of several machines some would be replaced before one that must stay: the preview asks all of them first.
    words += ["--skip-preview"] if yes and len(stacks.cvms(name)) < _SEVERAL else []
    stacks.hand_over("up", "--stack", name, "--suppress-outputs", *words)
    print(f"Workspace {name} is up. For its parties: invoke workspace.export --stack {name} --output FILE")


@verb(help={"stack": _STACK, "json": "as JSON"})
def status(c: Any, stack: str = "", json: bool = False) -> None:
    """Show the workspace's CVMs: where they listen, whether they live and answer, and what is not as declared."""
    from cloister.cli.shell import show
    from infra import report
    from infra.live import drift
    from infra.live import workspaces as stacks

    name = stacks.selected(stack)
    machines = stacks.cvms(name)
    # What is shown is from before what it does; a first start is not there yet.
    if any(not one.is_left_behind() for one in stacks.PROJECT.locks(name)):
        show.note(f"A verb is at work on the workspace {name}.")
        if not machines and not json:
            return
    differences, wrong = drift.found(name, machines) if machines else ([], "")
    report.machines(name, machines, differences, wrong, as_json=json)


@verb(help={"stack": _STACK, "json": "as JSON", "planned": "of what the configuration would make, by a preview"})
def reach(c: Any, stack: str = "", json: bool = False, planned: bool = False) -> None:
    """Say who can reach what in the workspace, by the rules, routes and addresses that are declared."""
    from infra import report
    from infra.live import workspaces as stacks

    name = stacks.selected(stack)
    report.reach(stacks.reach(name, planned=planned), as_json=json)


@verb(help={"stack": _STACK, "output": "a file instead of the screen"})
def export(c: Any, stack: str = "", output: str = "") -> None:
    """Print the workspace descriptor, which the parties are handed (their option --workspace FILE)."""
    import json

    from cloister.cli.shell import show
    from infra.live import workspaces as stacks

    text = json.dumps(stacks.descriptor(stacks.selected(stack)).value(), indent=2, sort_keys=True) + "\n"
    if output:
        show.write_file(Path(output), text.encode())
        print(f"{output}: hand it to the parties. They confirm what it says with you, they do not believe it.")
    else:
        print(text, end="")


@verb(help={"stack": _STACK, "cvm": "name of the CVM; by default the only one with a console"})
def console(c: Any, stack: str = "", cvm: str = "") -> None:
    """Connect to the serial console of a CVM of the flavor debug."""
    from cloister.errors import InputError
    from infra.configuration.cloud import BACKENDS
    from infra.live import serial_console as consoles
    from infra.live import workspaces as stacks

    name = stacks.selected(stack)
    backend = (stacks.configuration(name) or {}).get("backend")
    if backend in BACKENDS:
        raise InputError(
            "A CVM in a cloud has no console, and nobody logs in to it.",
            hint=f"docs/{backend}.md says where it reports how far its start has come.",
        )
    if cvm:
        stacks.cvm(name, cvm)
    consoles.attach(name, cvm or consoles.only(name))


@verb(
    help={
        "stack": _STACK,
        "yes": "do not ask",
        "remove": "remove the stack, its keys and its configuration too",
        "force": "end a CVM even when its run is unfinished or cannot be asked about",
    },
    interrupted="The same command ends what is left.",
)
def down(c: Any, stack: str = "", yes: bool = False, remove: bool = False, force: bool = False) -> None:
    """End the workspace's CVMs and remove what belongs to them (pulumi destroy). Configuration and keys stay."""
    import os

    from infra import teardown
    from infra.live import workspaces as stacks
    from infra.provider import authority

    name = stacks.selected(stack)
    if force:
        os.environ["CLOISTER_FORCE"] = "1"
    os.environ[teardown.VARIABLE] = "1"
    resources = stacks.PROJECT.resources(name)
    kept = any(resource.get("protect") for resource in resources)
    words = ["--yes", "--skip-preview"] if yes else []
    # With the program, whose hooks ask the agents; without it the engine ends no machine that has one.
    also = ["--run-program", *(["--exclude-protected"] if kept else [])]
    # A refresh would fail for what is not there any more, and the machines would go on costing.
    also += ["--refresh=false"] if not all(map(stacks.PROJECT.holds, teardown.registries(resources))) else []
    stacks.hand_over("destroy", "--stack", name, "--suppress-outputs", *also, *words)
    if kept and remove:
        # What a cloud does not give back, a name of a key, stays there; the state forgets it.
        stacks.PROJECT.end_protected(name, *words)
    # What an engine that was killed never noted in the state.
    if not stacks.cvms(name):
        authority.sweep(name)
    if remove:
        stacks.hand_over("stack", "rm", name, "--yes")


@verb(help={"json": "as JSON"})
def list_(c: Any, json: bool = False) -> None:
    """List the workspaces of this checkout."""
    from infra import report
    from infra.live import workspaces as stacks

    report.workspaces({name: stacks.cvms(name) for name in stacks.names()}, as_json=json)


@verb(
    positional=["name"],
    required=["key", "roles"],
    help={
        "name": "name of the member",
        "key": "file with the member's public key (PEM)",
        "roles": "one or more of owner, algorithm-provider, dataset-provider, result-consumer, auditor; with commas",
        "stack": _STACK,
    },
)
def add(c: Any, name: str, key: str = "", roles: str = "", stack: str = "") -> None:
    """Add a member to the workspace, or give the member of that name another key and other roles."""
    from infra.configuration import workspace
    from infra.live import members as member
    from infra.live import workspaces as stacks

    workspace.check_name(name)
    added = member.add(stacks.selected(stack), name, Path(key), tuple(part for part in roles.split(",") if part))
    print(f"{name}: {', '.join(added.roles)}; key {added.key_digest()}")


@verb(positional=["name"], help={"name": "name of the member", "stack": _STACK})
def remove_(c: Any, name: str, stack: str = "") -> None:
    """Take a member out of the workspace's configuration."""
    from infra.live import members as member
    from infra.live import workspaces as stacks

    member.remove(stacks.selected(stack), name)
    print(f"{name} is no longer a member. A CVM that is up keeps its owners until the next invoke workspace.up.")


@verb(help={"stack": _STACK, "json": "as JSON"})
def members(c: Any, stack: str = "", json: bool = False) -> None:
    """List the members of the workspace with their roles and the digests of their keys."""
    from infra import report
    from infra.live import members as member
    from infra.live import workspaces as stacks

    report.members(member.listed(stacks.selected(stack)), as_json=json)


@verb(
    help={"relock": "when a locked package of the host tools is gone everywhere, take them from a new lock under out/"},
    interrupted="Nothing is half done; the next `setup` goes on.",
)
def setup(c: Any, relock: bool = False) -> None:
    """Set this machine up: the Pulumi engine, the host tools, .cloister/env. Says what takes long, once per machine."""
    from infra import setup as steps

    steps.run(relock=relock)


@verb(help={"json": "as JSON"})
def doctor(c: Any, json: bool = False) -> None:
    """Look whether this machine has what it needs, and say what to do where it has not."""
    from infra import doctor as looks
    from infra import report

    report.findings(looks.examine(), as_json=json)


@verb(help={"json": "as JSON", "clear": "remove it: the next setup fetches and builds again"})
def cache(c: Any, json: bool = False, clear: bool = False) -> None:
    """Show what the cache of this user holds (engine, host tools, inputs of images) and how large it is."""
    from infra import caches, report

    if clear:
        caches.clear()
    report.sizes(caches.sizes(), as_json=json)


@verb(help={"yes": "do not ask"})
def clean(c: Any, yes: bool = False) -> None:
    """Remove what was made in this checkout: out/. Refuses while a workspace is up."""
    from infra import caches

    removed = caches.clean(ask=not yes)
    print(f"Removed: {', '.join(str(path) for path in removed) or 'nothing, there was nothing'}.")


workspace = Collection("workspace", new, up, status, reach, export, console, down)
workspace.add_task(list_, name="list")
member = Collection("member", add)
member.add_task(remove_, name="remove")
member.add_task(members, name="list")
namespace = Collection(workspace, member, registry, setup, doctor, cache, clean)
