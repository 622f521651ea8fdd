"""The program of a workspace that is being deleted: only the hook that asks each agent for an unfinished run.

The state alone says what to delete. A workspace must be deletable, and stop costing, even when its inputs are gone: its
image rebuilt or in another checkout, its registry deleted, its configuration invalid.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.resources.types import REFERENCE

VARIABLE = "CLOISTER_ENDING"
"""Set to 1 by ``workspace.down``: the engine does not tell a program that its stack is being destroyed."""


def declare(value: Any, *, force: bool) -> None:
    """Declare only the hook. Of the configuration ``value`` only ``force`` is read; either one forces."""
    # Imported here: the verbs use this module, too, and must not wait for Pulumi's SDK.
    from infra.backends import rolling

    rolling.hook(force=force or (isinstance(value, Mapping) and value.get("force") is True))


def registries(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """The full names of the stacks that a state refers to."""
    return [str(one.get("id")) for one in resources if one.get("type") == REFERENCE]
