"""The command ``cloister``."""

import shlex
import sys
from importlib.metadata import version

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program


class _Command(Program):
    """Invoke's program, with a hint for unknown verbs and options, without hiding an interruption, and with file names
    in the shell's completion.
    """

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

    def parse_cleanup(self) -> None:
        if self.args.complete.value and self._at_a_value(self.core.remainder):
            # No candidates: the shell offers file names. Invoke would offer verbs, also after a verb.
            raise Exit
        super().parse_cleanup()

    def _at_a_value(self, typed: str) -> bool:
        """Whether the last word of a command line is, or follows, what only the shell can complete."""
        try:
            words = shlex.split(typed)[1:]
        except ValueError:
            return True  # an open quotation mark: a file name with spaces
        verb = next((word for word in words if word in self.parser.contexts), None)
        if verb is None:
            return False
        return not words[-1].startswith("-") or words[-1] in self.parser.contexts[verb].flags


def run(verbs: Collection) -> None:
    """Run the command line and end the process. Raises KeyboardInterrupt if no verb has started."""
    try:
        _Command(name="Cloister", binary="cloister", version=version("cloister"), namespace=verbs).run()
    except BrokenPipeError:
        # The reader of the list or the help has closed our output.
        sys.stdout = sys.__stdout__ = None
        sys.exit(0)
