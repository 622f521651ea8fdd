"""What makes a function a verb: an Invoke task that checks what it needs and ends like docs/verbs.md says."""

import errno
import functools
import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from invoke.exceptions import Exit
from invoke.parser import Argument
from invoke.tasks import Task

from cloister.errors import INTERRUPTED, CloisterError, InputError
from cloister.protocol import text

Verb = Task[Callable[..., None]]

_names: set[str] = set()


def verb(
    *,
    help: Mapping[str, str],
    positional: Sequence[str] = (),
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    several: str = "",
    interrupted: str = "",
) -> Callable[[FunctionType], Verb]:
    """Make a function a task.

    ``help`` says what each option is. ``required`` names options without which nothing starts: Invoke itself would pass
    None for them. ``several`` is a positional option that takes one word or more, as a list. ``interrupted`` says what
    Ctrl-C leaves behind. A CloisterError becomes a sentence and an exit code.
    """

    def wrap(body: FunctionType) -> Verb:
        name = body.__name__.replace("_", "-")
        _names.add(name)

        @functools.wraps(body)
        def run(*args: Any, **options: Any) -> None:
            try:
                if any(options.get(word) in ("--help", "-h") for word in (*positional, several)):
                    _explain(_typed(name))
                    return
                if several:
                    further = [options.pop(key) for key in sorted(options) if key.startswith(f"{several}{_FURTHER}")]
                    options[several] = [options[several], *further]
                for option in required:
                    if options.get(option) in (None, "", []):
                        raise InputError(
                            f"{_typed(name)} needs --{option.replace('_', '-')}.",
                            hint=f"`{program()} {_typed(name)} --help` shows all options.",
                        )
                body(*args, **options)
            except CloisterError as error:
                report(error)
                raise Exit(code=error.exit_code) from error
            except KeyboardInterrupt as error:
                print(_spoken(f"\nInterrupted. {interrupted}".rstrip()), file=sys.stderr)
                raise Exit(code=INTERRUPTED) from error
            except BrokenPipeError as error:
                # Whoever read our output has seen enough; nothing more may be written there, at exit neither.
                sys.stdout = sys.__stdout__ = None
                raise Exit(code=0) from error
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                where = f" that holds {error.filename}" if error.filename else ""
                report(InputError(f"The disk{where} is full.", hint="Make room there, then do the same again."))
                raise Exit(code=InputError.exit_code) from error

        # The class and not its decorator: that one has no type that says what it returns.
        made = _Several if several else _Task
        words = [several] if several else list(positional)
        return made(run, positional=words, optional=list(optional), help=dict(help), auto_shortflags=False)

    return wrap


_FURTHER = "_and_"


class _Number(Argument):
    """An option that takes a whole number. Of anything else Invoke itself shows where in its own code that failed."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        try:
            super().set_value(value, cast)
        except ValueError as error:
            report(InputError(f"--{self.names[0].replace('_', '-')} takes a whole number, and {value!r} is none."))
            raise Exit(code=InputError.exit_code) from error


class _Task(Task[Callable[..., None]]):
    """A task whose options of numbers say what is wrong with them, and whose positional argument may have a default."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        made = [_number(one) if one.kind is int else one for one in super().get_arguments(ignore_unknown_help)]
        if any(one.positional and one.default == "" for one in made) and _count_words(
            sys.argv, _typed(self.name.replace("_", "-")), _takes_value(made)
        ):
            made = [_required(one) if one.positional and one.default == "" else one for one in made]
        return made


def _takes_value(arguments: Collection[Argument]) -> set[str]:
    """The options, as they are typed, whose value is the next word."""
    return {f"--{name.replace('_', '-')}" for one in arguments if one.takes_value for name in one.names}


def _required(one: Argument) -> Argument:
    """A positional argument without its default: Invoke passes over one that has a value."""
    return Argument(names=one.names, help=one.help, positional=True, attr_name=one.attr_name)


def _number(one: Argument) -> _Number:
    return _Number(
        names=one.names,
        kind=int,
        default=one.default,
        help=one.help,
        positional=one.positional,
        optional=one.optional,
        attr_name=one.attr_name,
    )


class _Several(_Task):
    """A task whose one positional argument may be followed by others: Invoke itself knows a fixed number only."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The declared ones, and one for each further word of the command line."""
        made = super().get_arguments(ignore_unknown_help)
        (first,) = (one.name for one in made if one.positional)
        count = _count_words(sys.argv, _typed(self.name.replace("_", "-")), _takes_value(made))
        further = [f"{first}{_FURTHER}{number:03}" for number in range(2, count + 1)]
        return [*made, *(Argument(name=name, positional=True) for name in further)]


def _count_words(argv: Sequence[str], verb: str, takes_value: Collection[str]) -> int:
    """How many words behind ``verb`` are neither options nor their values."""
    behind = argv[argv.index(verb) + 1 :] if verb in argv else []
    count = 0
    is_value = False
    for word in behind:
        if is_value:
            is_value = False
        elif word.startswith("-"):
            is_value = word in takes_value
        else:
            count += 1
    return count


def report(error: CloisterError) -> None:
    """Say on standard error what went wrong and what to do, with the traceback when --debug asks for it."""
    # Invoke acts upon --debug before the verb's name and merely tolerates it behind.
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG) or "--debug" in sys.argv:
        print(_shown("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(_shown(_spoken(f"Error: {error.message}")), file=sys.stderr)
    if hint := error.hint or error.remedy:
        print(_shown(_spoken(hint)), file=sys.stderr)


def _shown(said: str) -> str:
    """Messages quote peers, files and programs, which must not speak to the reader's terminal."""
    return text.printable(said, keep="\n\t")


def program() -> str:
    """The command as the user calls it: ``invoke`` in a checkout, else ``cloister``."""
    name = Path(sys.argv[0]).name
    return name if name in ("invoke", "inv") else "cloister"


def _typed(name: str) -> str:
    """The verb as it was typed: ``member.add`` for the task ``add``."""
    ends = (name, name.rstrip("-"))
    return next((word for word in sys.argv[1:] if word.rpartition(".")[2] in ends), name)


def _explain(typed: str) -> None:
    """Do what ``--help VERB`` does: behind a verb with a positional argument, Invoke takes --help for that argument."""
    start = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    subprocess.run([*start, "--help", typed], check=False)


def _spoken(said: str) -> str:
    """Messages name verbs like `policy`; the reader types them after a command."""
    return re.sub(r"`([a-z-]+)", lambda found: f"`{program()} {found[1]}" if found[1] in _names else found[0], said)
