"""What the Pulumi programs of this project share: how one ends, and which backend it loads."""

import importlib
import os
import sys
from types import ModuleType
from typing import NoReturn

import pulumi

from cloister.errors import CloisterError, InputError

# What the language host takes for "the user has been told" (pulumi/sdk, python/cmd/pulumi-language-python-exec).
_SAID_ALREADY = 32


def end(error: CloisterError) -> NoReturn:
    """An error of the user's is a sentence, not a traceback."""
    # pulumi.RunError would be followed by "an unhandled error occurred: program exited with ...".
    pulumi.log.error(f"{error.message}\n{error.hint or error.remedy}".rstrip())
    raise SystemExit(_SAID_ALREADY) from error


def end_at_once(sentence: str) -> NoReturn:
    """The same inside a transform: an exception would leave it as an error of gRPC, with the traceback of Pulumi's own
    threads, and let what is under way go on.
    """
    pulumi.log.error(sentence)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_SAID_ALREADY)


def backend(package: str, name: str) -> ModuleType:
    """The module ``name`` of ``package``, and no other: each cloud's SDK is hundreds of megabytes, and an extra of its
    own. Raises InputError when that is not installed.
    """
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if missing.partition(".")[0] in ("infra", "cloister"):
            raise
        raise InputError(f"The backend {name} needs {missing}, which is not installed.", hint=f"make {name}") from error
