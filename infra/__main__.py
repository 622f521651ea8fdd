"""The Pulumi program: one stack is one workspace."""

import os

import pulumi

from cloister.errors import CloisterError
from infra import image, labels, program, workspace
from infra.guard import stack as guard


def main() -> None:
    """Read the configuration whole, then declare."""
    value = pulumi.Config().get_object("workspace")
    try:
        configuration = workspace.parse(pulumi.get_stack(), value, force=os.environ.get("CLOISTER_FORCE") == "1")
        found = image.find(configuration.image)
        # Attached before they are looked for.
        labels.label_stack(configuration)
        guard.protect(configuration)
        backend = program.backend("infra.backends", configuration.backend)
        pulumi.export("descriptor", backend.Workspace(configuration, found).descriptor)
    except CloisterError as error:
        program.end(error)


main()
