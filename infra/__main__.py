"""The Pulumi program: one stack is one workspace."""

import os

import pulumi

from cloister.errors import CloisterError
from infra import guard, image, workspace
from infra.backends import local

# What the language host takes for "the user has been told" (pulumi/sdk, python/cmd/pulumi-language-python-exec).
_SAID_ALREADY = 32


def main() -> None:
    """Read the configuration whole, then declare. An error of the user's is a sentence, not a traceback."""
    value = pulumi.Config().get_object("workspace")
    try:
        configuration = workspace.parse(pulumi.get_stack(), value, force=os.environ.get("CLOISTER_FORCE") == "1")
        found = image.find(configuration.image)
    except CloisterError as error:
        # pulumi.RunError would be followed by "an unhandled error occurred: program exited with ...".
        pulumi.log.error(str(error))
        raise SystemExit(_SAID_ALREADY) from error
    guard.protect_stack()
    pulumi.export("descriptor", local.Workspace(configuration, found).descriptor)


main()
