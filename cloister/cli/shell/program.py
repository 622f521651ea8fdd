"""The command ``cloister``."""

import sys
from importlib.metadata import version

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.program import Program


class _Command(Program):
    """Invoke's program, with a hint for unknown verbs and options, and without hiding an interruption."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        try:
            super().run(argv, exit)
        except SystemExit as ended:
            # Outside of a verb, Invoke turns Ctrl-C into exit code 1 without a message.
            if isinstance(ended.__context__, KeyboardInterrupt):
                raise ended.__context__ from None
            raise

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            hint = "`cloister --list` lists all verbs, `cloister --help VERB` the options of one."
            raise ParseError(f"{error}\n{hint}", error.context) from error


def run(verbs: Collection) -> None:
    """Run the command line and end the process. Raises KeyboardInterrupt if no verb has started."""
    try:
        _Command(name="Cloister", binary="cloister", version=version("cloister"), namespace=verbs).run()
    except BrokenPipeError:
        # The reader of the list or the help has closed our output.
        sys.stdout = sys.__stdout__ = None
        sys.exit(0)
