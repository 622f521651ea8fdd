"""The Pulumi program: one stack is one workspace."""

import os

import pulumi

from cloister.errors import CloisterError
from infra.backends import teardown
from infra.configuration import image, workspace
from infra.guard import guard
from infra.resources import labels, program


def main() -> None:
    """Read the whole configuration, then declare the resources."""
    value = pulumi.Config().get_object("workspace")
    force = os.environ.get("CLOISTER_FORCE") == "1"
    if os.environ.get(teardown.VARIABLE) == "1":
        teardown.declare(value, force=force)
        return
    try:
        configuration = workspace.parse(pulumi.get_stack(), value, force=force)
        found = image.find(configuration.image)
        # Before the guard, which checks for them.
        labels.label_stack(configuration)
        guard.protect(configuration)
        backend = program.backend("infra.backends", configuration.backend)
        pulumi.export("descriptor", backend.WorkspaceComponent(configuration, found).descriptor)
    except CloisterError as error:
        program.end(error)


main()
