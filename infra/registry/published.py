"""What a registry holds, as the workspaces take it from there."""

from collections.abc import Mapping
from typing import Any

import pulumi


def identifier(registry: str, digest: str) -> pulumi.Output[str]:
    """What a VM names its image by: in Azure the id of an image version, in GCP the link to an image.

    ``registry`` is the full name of the registry's stack, ``digest`` that of the image's manifest (hex). Fails the
    preview when the registry does not hold the image.
    """
    reference = pulumi.StackReference(registry)
    return reference.get_output("images").apply(lambda images: find(registry, digest, images))


def find(registry: str, digest: str, images: Any) -> str:
    """The identifier among ``images``, a registry's output. Raises RunError."""
    entry = images.get(digest) if isinstance(images, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("id"), str):
        name = registry.rpartition("/")[2]
        raise pulumi.RunError(
            f"The registry {registry} does not hold the image {digest}: `invoke registry.add --stack {name} --image "
            f"FLAVOR`, then `invoke registry.up --stack {name}`; before both, `invoke image.publish` brings its disk."
        )
    return str(entry["id"])
