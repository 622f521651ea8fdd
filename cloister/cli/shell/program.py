"""The command ``cloister``."""

import inspect
import shlex
import sys
from importlib.metadata import version

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from cloister.cli.shell.arguments import words_of

_OPTIONS = (
    ("--help[=VERB]", "show the options of the command, or of one verb"),
    ("--list", "list the verbs"),
    ("--version", "show the version"),
    ("--print-completion-script=SHELL", "print the script that completes verbs and options: bash, zsh or fish"),
    ("--debug", "with any verb: also print the traceback of an error"),
)
"""Those of Invoke's options that mean something for a party."""


class _Command(Program):
    """Invoke's program, with help in the words of a party, a hint for unknown verbs and options, without hiding an
    interruption, and with file names in the shell's completion.
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

    def print_help(self) -> None:
        print(f"Usage: {self.binary} VERB [options]\n\nWithout a verb it shows who does what, in which order.\n")
        print("Options:\n")
        self.print_columns(_OPTIONS)
        self.list_tasks()

    def print_task_help(self, name: str) -> None:
        options = self.parser.contexts[name].help_tuples()
        parts = (self.binary, name, words_of(self.collection[name]), "[options]" if options else "")
        print(f"Usage: {' '.join(filter(None, parts))}\n\n{inspect.getdoc(self.collection[name])}\n")
        if options:
            print("Options:\n")
            self.print_columns(options)

    def task_list_opener(self, extra: str = "") -> str:
        return "Verbs"

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
