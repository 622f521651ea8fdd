"""The collection ``registry``: where the images of a subscription or project are stored.

Modules are imported inside the functions: `invoke --list` must not wait for Pulumi's SDK.
"""

from typing import Any

from invoke.collection import Collection

from cloister.cli.shell.verb import verb
from infra.options import JSON, REGISTRY, YES, after_down


@verb(
    positional=["name"],
    required=["backend"],
    help={
        "name": "name of the registry: lowercase letters, digits and '-'",
        "backend": "azure or gcp",
        "location": "azure: a region (westeurope); gcp: the bucket's location (eu, europe-west4)",
        "subscription": "azure: ID of the subscription",
        "tenant": "azure: ID of the tenant",
        "project": "gcp: ID of the project",
    },
    example="invoke registry.new images --backend gcp --project my-project --location europe-west4",
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
    """Create a registry for a subscription's or project's images: a Pulumi stack. Deploys nothing."""
    from infra.registry import registries

    place = {"subscription": subscription, "tenant": tenant, "project": project, "location": location}
    registries.create(name, backend, {key: value for key, value in place.items() if value})
    print(f"Registry {name} is configured in infra/registry/Pulumi.{name}.yaml.")
    print(f"Next: invoke registry.up --stack {name}")


@verb(help=REGISTRY | YES, interrupted="Run the same command again to continue.", example="invoke registry.up")
def up(c: Any, stack: str = "", yes: bool = False) -> None:
    """Bring the registry into the state that its configuration describes (pulumi up)."""
    from infra.registry import registries

    name = registries.PROJECT.selected(stack)
    backend = registries.up(name, yes=yes).backend
    print(f"Registry {name} is up. Its name in a workspace's configuration: {registries.full_name(name)}")
    print(f"To publish: invoke image.publish --to {backend} --destination {registries.destination(name)}")


@verb(
    help=REGISTRY | {"image": "flavor of the image, name of a signed one (base-signed), or path of its manifest"},
    example="invoke registry.add --image base",
)
def add(c: Any, image: str = "base", stack: str = "") -> None:
    """Add a published image to the registry's configuration, with its Secure Boot keys if it is signed; the next
    registry.up makes it available to VMs.
    """
    from infra.registry import registries

    name = registries.PROJECT.selected(stack)
    added = registries.add(name, image)
    print(f"Added {added.flavor} {added.digest}. Next: invoke registry.up --stack {name}")


@verb(help=REGISTRY | JSON, example="invoke registry.list")
def list_(c: Any, stack: str = "", json: bool = False) -> None:
    """List the registry's images by flavor and manifest digest, and where image.publish uploads them."""
    from cloister.cli.shell import show
    from infra.registry import registries

    found = registries.facts(registries.PROJECT.selected(stack))
    if json:
        show.facts(found)
        return
    print(f"{found['registry']}: {found['destination'] or 'not up'}")
    for entry in found["images"]:
        print(f"  {entry['flavor']} {entry['digest']} {entry['identifier'] or '(not deployed: invoke registry.up)'}")


@verb(
    positional=["image"],
    help={"image": "flavor, or the first 8 or more digits of the manifest's digest"} | REGISTRY,
    example="invoke registry.remove base",
)
def remove_(c: Any, image: str, stack: str = "") -> None:
    """Remove an image from the registry's configuration. Running VMs keep their disks; published bytes stay."""
    from infra.registry import registries

    name = registries.PROJECT.selected(stack)
    removed = registries.remove(name, image)
    print(f"{removed.flavor} {removed.digest} will be removed by the next invoke registry.up --stack {name}")


@verb(
    help=REGISTRY | YES | {"remove": "also remove the stack and its configuration"},
    interrupted="Run the same command again to delete what is left.",
    example="invoke registry.down --remove",
)
def down(c: Any, stack: str = "", yes: bool = False, remove: bool = False) -> None:
    """Delete the registry with all images and published disks (pulumi destroy). No workspace can start from them."""
    from cloister.cli.shell import show
    from infra.registry import registries

    name = registries.PROJECT.selected(stack)
    if yes or show.confirmed(f"Delete the registry {name} with every image in it?"):
        registries.down(name, yes=yes, remove=remove)
        print(after_down("registry", name, "its stack and configuration", removed=remove))


namespace = Collection("registry", new, up, add, down)
namespace.add_task(list_, name="list")
namespace.add_task(remove_, name="remove")
