"""The command ``cloister``."""

import sys
from importlib.metadata import version

from invoke.exceptions import ParseError
from invoke.program import Program

from cloister.cli import collection


class _Command(Program):
    """Invoke's program, which also says what to type instead of something that it does not know, and does not hide that
    it was interrupted.
    """

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        try:
            super().run(argv, exit)
        except SystemExit as ended:
            # Outside of a verb, Invoke makes status 1 and no word of it.
            if isinstance(ended.__context__, KeyboardInterrupt):
                raise ended.__context__ from None
            raise

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            hint = "`cloister --list` names all verbs, `cloister --help VERB` its options."
            raise ParseError(f"{error}\n{hint}", error.context) from error


def run() -> None:
    """Run the command line and end the process. Raises KeyboardInterrupt where no verb has begun."""
    try:
        _Command(name="Cloister", binary="cloister", version=version("cloister"), namespace=collection()).run()
    except BrokenPipeError:
        # Whoever read the list or the help has seen enough.
        sys.stdout = sys.__stdout__ = None
        sys.exit(0)
