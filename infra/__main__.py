"""The Pulumi program: one stack is one workspace."""

import os

import pulumi

from cloister.errors import CloisterError
from infra import guard, image, workspace
from infra.backends import local


def main() -> None:
    """Read the configuration whole, then declare. An error of the user's is a sentence, not a traceback."""
    value = pulumi.Config().get_object("workspace")
    try:
        configuration = workspace.parse(pulumi.get_stack(), value, force=os.environ.get("CLOISTER_FORCE") == "1")
        found = image.find(configuration.image)
    except CloisterError as error:
        raise pulumi.RunError(str(error)) from error
    guard.protect_stack()
    pulumi.export("descriptor", local.Workspace(configuration, found).descriptor)


main()
