"""The Pulumi program of the registries: one stack is the home of the images of one subscription or project."""

import importlib

import pulumi

from cloister.errors import CloisterError
from infra.registry import configuration

# What the language host takes for "the user has been told" (pulumi/sdk, python/cmd/pulumi-language-python-exec).
_SAID_ALREADY = 32


def main() -> None:
    """Read the configuration whole, then declare. An error of the user's is a sentence, not a traceback."""
    try:
        found = configuration.parse(pulumi.get_stack(), pulumi.Config().get_object("registry"))
    except CloisterError as error:
        pulumi.log.error(str(error))
        raise SystemExit(_SAID_ALREADY) from error
    # Only the SDK of its own cloud is loaded, and only that has to be installed.
    declared = importlib.import_module(f"infra.registry.backends.{found.backend}").Registry(found)
    pulumi.export("destination", declared.destination)
    pulumi.export("images", declared.images)


main()
