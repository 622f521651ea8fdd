"""What a registry holds, as the workspaces take it from there."""

from collections.abc import Mapping
from typing import Any

import pulumi


def identifier(registry: str, digest: str, region: str = "") -> pulumi.Output[str]:
    """What a VM names its image by: in Azure the id of an image version, in GCP the link to an image.

    ``registry`` is the full name of the registry's stack, ``digest`` that of the image's manifest (hex), ``region``
    where the VM is, where that matters. Fails the preview when the registry does not hold the image there.
    """
    reference = pulumi.StackReference(registry)
    return reference.get_output("images").apply(lambda images: find(registry, digest, images, region))


def find(registry: str, digest: str, images: Any, region: str = "") -> str:
    """The identifier among ``images``, a registry's output. Raises RunError."""
    entry = images.get(digest) if isinstance(images, Mapping) else None
    name = registry.rpartition("/")[2]
    if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
        raise pulumi.RunError(
            f"The registry {registry} does not hold the image {digest}: `invoke registry.add --stack {name} --image "
            f"FLAVOR`, then `invoke registry.up --stack {name}`; before both, `invoke image.publish` brings its disk."
        )
    regions = entry.get("regions")
    # A registry that was up before it said so does not say.
    if region and isinstance(regions, list) and region not in regions:
        raise pulumi.RunError(
            f"The registry {registry} holds the image {digest} in {', '.join(map(str, regions))}, not in {region}: add "
            f"that to azure.regions of its configuration, then `invoke registry.up --stack {name}`."
        )
    return str(entry["id"])
