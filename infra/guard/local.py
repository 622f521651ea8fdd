"""The rules for a workspace on this machine."""

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from infra.configuration.workspace import WorkspaceConfiguration
from infra.guard.rules import FOR_ALL, Rule
from infra.resources.resource import Resource
from infra.resources.types import LOCAL_CVM


def boot_configuration_names_owners(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """A CVM without an owner in its measured boot configuration could not be controlled by its owners."""
    if resource.type != LOCAL_CVM:
        return ""
    try:
        BootConfiguration.parse(str(resource.at("bootConfiguration") or "").encode())
    except FormatError as error:
        return error.message
    return ""


def image_has_digest(resource: Resource, configuration: WorkspaceConfiguration) -> str:
    """An image is identified by its content, not by a path whose content may change."""
    missing = resource.type == LOCAL_CVM and not isinstance(resource.at("imageDigest"), str)
    return "imageDigest must be set." if missing else ""


RULES: tuple[Rule, ...] = (*FOR_ALL, boot_configuration_names_owners, image_has_digest)
