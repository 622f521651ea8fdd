"""Declares a workspace: parses its declaration, sets up the guard, and loads the backend."""

from typing import Any

import pulumi

from infra.backends.component import WorkspaceBase
from infra.configuration import image, workspace
from infra.guard import guard
from infra.resources import program


def declare(
    name: str,
    value: Any,
    refuse: guard.Refuse,
    *,
    force: bool,
    alone: bool,
    options: pulumi.ResourceOptions | None = None,
) -> WorkspaceBase:
    """The workspace ``name`` with the declaration ``value``.

    ``refuse`` ends the program when a resource breaks a rule; ``force`` overrides the declaration's own; ``alone``: the
    stack has nothing else. Raises CloisterError.
    """
    configuration = workspace.parse(name, value, force=force)
    found = image.find(configuration.image)
    # First: it must see the component, too.
    guard.protect(configuration, refuse, alone=alone)
    backend = program.backend("infra.backends", configuration.backend)
    component: WorkspaceBase = backend.WorkspaceComponent(configuration, found, options or pulumi.ResourceOptions())
    return component
