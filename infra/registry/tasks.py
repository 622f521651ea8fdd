"""The collection ``registry``: where the images of a subscription or project live.

Everything heavy is imported inside the bodies: `invoke --list` must not wait for Pulumi's SDK.
"""

from pathlib import Path
from typing import Any

from invoke.collection import Collection

from cloister.cli.shell.verb import verb

_STACK = "the registry; by default the one that pulumi has selected"


@verb(
    positional=["name"],
    required=["backend"],
    help={
        "name": "name of the registry: lower-case letters, digits and '-'",
        "backend": "azure or gcp",
        "location": "Azure: a region (westeurope); GCP: the bucket's location (eu, europe-west4)",
        "subscription": "Azure: the subscription's id",
        "tenant": "Azure: the tenant's id",
        "project": "GCP: the project's id",
    },
)
def new(
    c: Any,
    name: str,
    backend: str = "",
    location: str = "",
    subscription: str = "",
    tenant: str = "",
    project: str = "",
) -> None:
    """Make a registry for a subscription's or project's images: a Pulumi stack, nothing deployed yet."""
    from infra.registry import registries as stacks

    place = {"subscription": subscription, "tenant": tenant, "project": project, "location": location}
    stacks.create(name, backend, {key: value for key, value in place.items() if value})
    print(f"Registry {name} is configured in infra/registry/Pulumi.{name}.yaml.")
    print(f"Next: invoke registry.up --stack {name}")


@verb(help={"stack": _STACK, "yes": "do not ask"}, interrupted="The same command goes on.")
def up(c: Any, stack: str = "", yes: bool = False) -> None:
    """Bring the registry into the state that its configuration describes (pulumi up)."""
    from infra.registry import registries as stacks

    name = stacks.PROJECT.selected(stack)
    stacks.PROJECT.hand_over("up", "--stack", name, "--suppress-outputs", *(["--yes", "--skip-preview"] if yes else []))
    backend = stacks.read(name).backend
    print(f"Registry {name} is up, for workspaces: {stacks.full_name(name)}")
    print(f"To publish: invoke image.publish --to {backend} --destination {stacks.destination(name)}")


@verb(
    help={
        "stack": _STACK,
        "image": "flavor of the image, or the path of its manifest",
        "secure_boot": "folder with PK.der, KEK.der and db.der, when the image is signed with own keys",
    },
)
def add(c: Any, image: str = "base", stack: str = "", secure_boot: str = "") -> None:
    """Note an image that was published, so that the next registry.up makes VMs of it possible."""
    from infra.registry import registries as stacks

    name = stacks.PROJECT.selected(stack)
    added = stacks.add(name, image, Path(secure_boot) if secure_boot else None)
    print(f"{added.flavor} {added.digest} is noted. Next: invoke registry.up --stack {name}")


@verb(help={"stack": _STACK, "json": "as JSON"})
def list_(c: Any, stack: str = "", json: bool = False) -> None:
    """List the registry's images by flavor and manifest digest, and where image.publish puts them."""
    from cloister.cli.shell import show
    from infra.registry import registries as stacks

    name = stacks.PROJECT.selected(stack)
    found = stacks.facts(name)
    if json:
        show.facts(found)
        return
    print(f"{found['registry']}: {found['destination'] or 'not up'}")
    for entry in found["images"]:
        print(f"  {entry['flavor']} {entry['digest']} {entry['identifier'] or '(not yet: invoke registry.up)'}")


@verb(positional=["image"], help={"image": "flavor, or the beginning of the manifest's digest", "stack": _STACK})
def remove_(c: Any, image: str, stack: str = "") -> None:
    """Take an image out of the registry's configuration. VMs that run keep their disks; its bytes stay published."""
    from infra.registry import registries as stacks

    name = stacks.PROJECT.selected(stack)
    removed = stacks.remove(name, image)
    print(f"{removed.flavor} {removed.digest} goes with the next invoke registry.up --stack {name}")


@verb(
    help={"stack": _STACK, "yes": "do not ask", "remove": "remove the stack and its configuration too"},
    interrupted="The same command ends what is left.",
)
def down(c: Any, stack: str = "", yes: bool = False, remove: bool = False) -> None:
    """End the registry with all images and published disks (pulumi destroy). No workspace can start from them then."""
    from cloister.cli.shell import show
    from infra.registry import registries as stacks

    name = stacks.PROJECT.selected(stack)
    if not yes and not show.confirmed(f"End the registry {name} with every image in it?"):
        return
    stacks.PROJECT.end_protected(name, *(["--yes", "--skip-preview"] if yes else []))
    if remove:
        stacks.PROJECT.hand_over("stack", "rm", name, "--yes")


namespace = Collection("registry", new, up, add, down)
namespace.add_task(list_, name="list")
namespace.add_task(remove_, name="remove")
