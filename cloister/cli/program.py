"""The command ``cloister``."""

import sys
from importlib.metadata import version

from invoke.exceptions import ParseError
from invoke.program import Program

from cloister.cli import collection


class _Command(Program):
    """Invoke's program, which also says what to type instead of something that it does not know."""

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            hint = "`cloister --list` names all verbs, `cloister --help VERB` its options."
            raise ParseError(f"{error}\n{hint}", error.context) from error


def run() -> None:
    """Run the command line and end the process."""
    try:
        _Command(name="Cloister", binary="cloister", version=version("cloister"), namespace=collection()).run()
    except BrokenPipeError:
        # Whoever read the list or the help has seen enough.
        sys.stdout = sys.__stdout__ = None
        sys.exit(0)
