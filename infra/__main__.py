"""The Pulumi program: one stack is one workspace."""

import os

import pulumi

from cloister.errors import CloisterError
from infra.backends import teardown
from infra.component import workspace
from infra.resources import program


def main() -> None:
    """Read the whole configuration, then declare the resources."""
    value = pulumi.Config().get_object("workspace")
    force = os.environ.get("CLOISTER_FORCE") == "1"
    if os.environ.get(teardown.VARIABLE) == "1":
        teardown.declare(value, force=force)
        return
    try:
        declared = workspace.declare(pulumi.get_stack(), value, program.end_at_once, force=force, alone=True)
        pulumi.export("descriptor", declared.descriptor)
    except CloisterError as error:
        program.end(error)


main()
