"""What may never be a machine on this one."""

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard.rules import FOR_ALL, Rule
from infra.resources.resource import Resource
from infra.resources.types import LOCAL_CVM


def a_cvm_names_its_owners(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """Without an owner in its measured boot configuration a CVM would belong to nobody, or to anybody."""
    if resource.type != LOCAL_CVM:
        return ""
    try:
        BootConfiguration.parse(str(resource.at("bootConfiguration") or "").encode())
    except FormatError as error:
        return error.message
    return ""


def an_image_is_named_by_digest(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """What runs is decided by content, not by a path that may hold something else tomorrow."""
    unnamed = resource.type == LOCAL_CVM and not isinstance(resource.at("imageDigest"), str)
    return "it names its image without a digest." if unnamed else ""


RULES: tuple[Rule, ...] = (*FOR_ALL, a_cvm_names_its_owners, an_image_is_named_by_digest)
