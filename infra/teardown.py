"""What of the program a workspace needs that ends: the question to each machine before it goes, and nothing else.

What goes, the state says. A workspace must end, and stop costing, also when what it was declared with is gone: its
image built anew or in another checkout, its registry ended before it, its configuration half edited.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.resources.types import REFERENCE

VARIABLE = "CLOISTER_ENDING"
"""Set to 1 by ``workspace.down``: the engine does not tell a program that a stack is destroyed."""


def end(value: Any, *, force: bool) -> None:
    """Declare nothing but the question. Of the configuration ``value`` only ``force: true`` counts, like ``force``."""
    # Not where a verb asks for the rest of this module: it must not wait for Pulumi's SDK.
    from infra.backends import rolling

    rolling.hook(force=force or (isinstance(value, Mapping) and value.get("force") is True))


def registries(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """The full names of the stacks that a state refers to."""
    return [str(one.get("id")) for one in resources if one.get("type") == REFERENCE]
