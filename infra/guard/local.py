"""What may never be a machine on this one."""

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from infra.configuration.workspace import Workspace
from infra.guard.rules import FOR_ALL, Rule
from infra.provider.names import CVM
from infra.resources.resource import Resource


def a_cvm_names_its_owners(resource: Resource, configuration: Workspace) -> str:
    """Without an owner in its measured boot configuration a CVM would belong to nobody, or to anybody."""
    if resource.kind != CVM:
        return ""
    try:
        BootConfiguration.parse(str(resource.at("bootConfiguration") or "").encode())
    except FormatError as error:
        return error.message
    return ""


def an_image_is_named_by_digest(resource: Resource, configuration: Workspace) -> str:
    """What runs is decided by content, not by a path that may hold something else tomorrow."""
    unnamed = resource.kind == CVM and not isinstance(resource.at("imageDigest"), str)
    return "it names its image without a digest." if unnamed else ""


RULES: tuple[Rule, ...] = (*FOR_ALL, a_cvm_names_its_owners, an_image_is_named_by_digest)
