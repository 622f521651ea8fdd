"""What the Pulumi engine writes in place of values it cannot show (pulumi, resource/plugin/rpc.go)."""

from collections.abc import Mapping
from typing import Any

COMPUTED = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""Stands for a string, number or boolean that a preview cannot know."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Key of the object that stands for a secret in a state (pulumi/pkg, resource/stack/deployment.go)."""


def is_placeholder(value: Any) -> bool:
    """Whether ``value`` stands for a computed or secret one."""
    return value == COMPUTED or (isinstance(value, Mapping) and _SIGNATURE in value)
