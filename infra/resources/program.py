"""Shared by the Pulumi programs of this project: ends them on an error, and loads a backend."""

import importlib
import os
import sys
from types import ModuleType
from typing import NoReturn

import pulumi

from cloister.errors import CloisterError, InputError

# The exit status that tells the language host that the error was reported (pulumi/sdk, python/cmd/
# pulumi-language-python-exec).
_REPORTED = 32


def end(error: CloisterError) -> NoReturn:
    """End the program with the error's message, without a traceback."""
    # pulumi.RunError would be followed by "an unhandled error occurred: program exited with ...".
    pulumi.log.error(f"{error.message}\n{error.hint or error.remedy}".rstrip())
    raise SystemExit(_REPORTED) from error


def end_at_once(sentence: str) -> NoReturn:
    """The same inside a transform: an exception there would become a gRPC error with a traceback of Pulumi's threads,
    and other operations would continue.
    """
    pulumi.log.error(sentence)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_REPORTED)


def backend(package: str, name: str) -> ModuleType:
    """The module ``name`` of ``package``. Each cloud's SDK is hundreds of megabytes and an optional dependency.

    Raises InputError when the SDK is not installed.
    """
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if missing.partition(".")[0] in ("infra", "cloister"):
            raise
        raise InputError(
            f"The backend {name} needs {missing}, which is not installed.", hint=f"Install it: make {name}"
        ) from error
