"""The command ``cloister``."""

import contextlib
import difflib
import inspect
import re
import shlex
import sys
from collections.abc import Generator, Iterable, Sequence
from importlib.metadata import version
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from cloister.cli.shell import outcome
from cloister.cli.shell.arguments import words_of
from cloister.errors import InputError

_OPTIONS = (
    ("--help[=VERB]", "show the options of the command, or of one verb"),
    ("--list", "list the verbs"),
    ("--version", "show the version"),
    ("--print-completion-script=SHELL", "print the script that completes verbs and options: bash, zsh or fish"),
    ("--debug", "with any verb: also print the traceback of an error"),
)
"""Those of Invoke's options that mean something for a party."""


_HELP = "`cloister --help` shows all verbs, `cloister --help VERB` explains one."
_UNKNOWN = re.compile(r"No idea what (['\"])(.*)\1 is!", re.DOTALL)


@contextlib.contextmanager
def _usage_errors(words: Sequence[str], verbs: Collection | None) -> Generator[None, None, None]:
    """Turn Invoke's error about the ``words`` of a command line into a message with a hint, and exit code 2."""
    try:
        yield
    except ParseError as error:
        context = error.context
        verb = getattr(context, "name", None)
        hint = f"`cloister {verb} --help` lists its options." if verb else "`cloister --list` lists all verbs."
        said = _in_words(str(error), verb)
        if context and verb and (option := _unknown_option(words, context)) is not None:
            # Invoke takes an unknown option for the value of the verb's first argument.
            said = f"{verb} has no option {option}."
            hint = f"{_similar(option, context.flags)}{hint}"
        elif not verb and (unknown := _UNKNOWN.fullmatch(str(error))) is not None:
            hint = _HELP if unknown[2] == "help" else f"{_similar(unknown[2], verbs.task_names if verbs else ())}{hint}"
        outcome.report(InputError(said, hint=hint))
        raise Exit(code=InputError.exit_code) from error


def _similar(word: str, known: Iterable[str]) -> str:
    """A question about the most similar of the ``known`` words, for the beginning of a hint; empty without one."""
    found = difflib.get_close_matches(word, known, 1)
    return f"Did you mean `{found[0]}`? " if found else ""


def _unknown_option(words: Sequence[str], context: Any) -> str | None:
    """The first long option that neither the verb nor the command has."""
    known = {*context.flags, *context.inverse_flags, *(name.split("[")[0].split("=")[0] for name, _ in _OPTIONS)}
    options = (word.partition("=")[0] for word in words if re.fullmatch(r"--[\w-]+(=.*)?", word, re.DOTALL))
    return next((option for option in options if option not in known), None)


def _in_words(said: str, verb: str | None) -> str:
    """What a message of Invoke's parser says, in the words of a party."""
    if (unknown := _UNKNOWN.fullmatch(said)) is not None:
        word = unknown[2]
        if word.startswith("-"):
            return f"{verb or 'The command'} has no option {word}."
        return f"{verb} does not take the word {word!r}." if verb else f"There is no verb {word!r}."
    if (option := re.match(r"Flag <Argument: ([\w-]+)", said)) is not None:
        return f"--{option[1].replace('_', '-')} needs a value."
    return said


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

    def parse_core(self, argv: list[str] | None) -> None:
        with _usage_errors(argv or (), self.namespace):
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with _usage_errors(self.argv, self.namespace):
            super().parse_tasks()

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
        with _usage_errors(self.argv, self.namespace):
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
    code: Any = 0
    try:
        try:
            _Command(name="Cloister", binary="cloister", version=version("cloister"), namespace=verbs).run()
        except SystemExit as ended:
            code = ended.code
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the list or the help has closed our output
        outcome.discard_output()
    sys.exit(code)
