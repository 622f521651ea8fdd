"""Looks up a published image in the outputs of a registry's stack, for the workspaces."""

from collections.abc import Mapping
from typing import Any

import pulumi


def identifier(registry: str, digest: str, region: str = "", *, parent: pulumi.Resource) -> pulumi.Output[str]:
    """The cloud's identifier of an image: in Azure the ID of an image version, in GCP the link to an image.

    ``registry`` is the full name of the registry's stack, ``digest`` that of the image's manifest (hex), ``region`` the
    VM's (Azure only), ``parent`` the workspace. The preview fails when the registry does not hold the image there.
    """
    reference = pulumi.StackReference(registry, opts=pulumi.ResourceOptions(parent=parent))
    return reference.get_output("images").apply(lambda images: find(registry, digest, images, region))


def find(registry: str, digest: str, images: Any, region: str = "") -> str:
    """The identifier among ``images``, a registry's output. Raises RunError."""
    entry = images.get(digest) if isinstance(images, Mapping) else None
    name = registry.rpartition("/")[2]
    if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
        raise pulumi.RunError(
            f"The registry {registry} does not hold the image {digest}. Run `invoke image.publish`, then `invoke "
            f"registry.add --stack {name} --image FLAVOR`, then `invoke registry.up --stack {name}`."
        )
    regions = entry.get("regions")
    # Registries deployed by older versions have no such output.
    if region and isinstance(regions, list) and region not in regions:
        raise pulumi.RunError(
            f"The registry {registry} holds the image {digest} in {', '.join(map(str, regions))}, not in {region}. Add "
            f"{region} to azure.regions of its configuration, then run `invoke registry.up --stack {name}`."
        )
    return str(entry["id"])
