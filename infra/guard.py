"""What may never be deployed, whatever the program says: plain functions over a resource's type and inputs.

They run in the unit tests, and at run time as a transform of the whole stack, so that `pulumi preview` fails.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from cloister.protocol.bootconfig import BootConfiguration
from cloister.protocol.canonical import FormatError
from infra.provider.names import AUTHORITY, CVM

Rule = Callable[[str, Mapping[str, Any]], str]
"""A sentence that says why the resource is refused, or an empty text."""

_KNOWN = ("cloister:local:Workspace", AUTHORITY, CVM)
_PASSWORDS = ("password", "sshkey", "ssh_key", "publickeys", "public_keys", "adminpassword", "admin_password")


def only_known_types(kind: str, inputs: Mapping[str, Any]) -> str:
    """A local workspace is its CVMs and its authority; anything else was not thought about."""
    return "" if kind in _KNOWN else f"a local workspace has no {kind}."


def a_cvm_names_its_owners(kind: str, inputs: Mapping[str, Any]) -> str:
    """Without an owner in its measured boot configuration a CVM would belong to nobody, or to anybody."""
    if kind != CVM:
        return ""
    try:
        BootConfiguration.parse(str(inputs.get("bootConfiguration", "")).encode())
    except FormatError as error:
        return error.message
    return ""


def an_image_is_named_by_digest(kind: str, inputs: Mapping[str, Any]) -> str:
    """What runs is decided by content, not by a path that may hold something else tomorrow."""
    return "it names its image without a digest." if kind == CVM and not inputs.get("imageDigest") else ""


def nobody_logs_in(kind: str, inputs: Mapping[str, Any]) -> str:
    """No password and no SSH key for a guest's operating system."""
    found = [name for name in inputs if name.lower() in _PASSWORDS]
    return f"it has {', '.join(found)}: nobody logs in to a CVM." if found else ""


RULES: tuple[Rule, ...] = (only_known_types, a_cvm_names_its_owners, an_image_is_named_by_digest, nobody_logs_in)


def violations(kind: str, inputs: Mapping[str, Any]) -> list[str]:
    """Every rule that the resource breaks, as sentences."""
    return [sentence for rule in RULES if (sentence := rule(kind, inputs))]


def protect_stack() -> None:
    """From now on the program cannot declare a resource that breaks a rule."""
    pulumi.runtime.register_resource_transform(_check)


def _check(arguments: pulumi.ResourceTransformArgs) -> None:
    if arguments.type_.startswith("pulumi:"):
        return
    found = violations(arguments.type_, arguments.props)
    if found:
        raise pulumi.RunError(f"{arguments.type_} {arguments.name!r} is refused: {' '.join(found)}")
