"""The Pulumi program: one stack is one workspace."""

import importlib
import os
from types import ModuleType

import pulumi

from cloister.errors import CloisterError, InputError
from infra import image, labels, workspace
from infra.guard import stack as guard

# What the language host takes for "the user has been told" (pulumi/sdk, python/cmd/pulumi-language-python-exec).
_SAID_ALREADY = 32


def main() -> None:
    """Read the configuration whole, then declare. An error of the user's is a sentence, not a traceback."""
    value = pulumi.Config().get_object("workspace")
    try:
        configuration = workspace.parse(pulumi.get_stack(), value, force=os.environ.get("CLOISTER_FORCE") == "1")
        found = image.find(configuration.image)
        # Attached before they are looked for: transforms run in the order in which they are registered.
        labels.label_stack(configuration)
        guard.protect(configuration)
        pulumi.export("descriptor", _backend(configuration.backend).Workspace(configuration, found).descriptor)
    except CloisterError as error:
        # pulumi.RunError would be followed by "an unhandled error occurred: program exited with ...".
        pulumi.log.error(str(error))
        raise SystemExit(_SAID_ALREADY) from error


def _backend(name: str) -> ModuleType:
    """Only the module that is asked for: each cloud's SDK is hundreds of megabytes, and an extra of its own."""
    try:
        return importlib.import_module(f"infra.backends.{name}")
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("infra", "cloister"):
            raise
        raise InputError(
            f"The backend {name} needs {error.name}, which is not installed.", hint=f"make {name}"
        ) from error


main()
