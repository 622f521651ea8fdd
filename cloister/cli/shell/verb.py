"""The decorator that makes a function a verb: an Invoke task whose errors are sentences and exit codes."""

import errno
import functools
import inspect
import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser import Argument
from invoke.tasks import Task

from cloister.cli.shell.options import Option
from cloister.errors import INTERRUPTED, CloisterError, InputError
from cloister.protocol import text

Verb = Task[Callable[..., None]]

_names: set[str] = set()


def verb(
    *,
    help: Mapping[str, str],
    name: str = "",
    positional: Sequence[str] = (),
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    several: str = "",
    repeated: Sequence[str] = (),
    interrupted: str = "",
    options: Sequence[Option] = (),
    bind: Callable[[Context, Mapping[str, Any]], object] | None = None,
) -> Callable[[FunctionType], Verb]:
    """Make a function a task. A CloisterError becomes a message and an exit code (docs/verbs.md, "Exit codes").

    help: the help text of each option of the function itself.
    name: the verb; the function's name if it is empty.
    positional: the options that are passed without their name, in order.
    required: options that must be passed. Invoke itself would pass None for a missing one.
    optional: options whose value may be omitted.
    several: a positional option that takes one or more words, as a list; empty for none.
    repeated: options that may be typed more than once, whose values are a list.
    interrupted: what Ctrl-C leaves behind, for the message, unless the KeyboardInterrupt itself says it.
    options: options that this verb shares with others, in addition to those in the function's signature.
    bind: from the context and the values of ``options`` to the function's first argument; None passes the context.
    """

    def wrap(body: FunctionType) -> Verb:
        texts = _described(help, body, required) | {option.name: option.help for option in options}
        spoken = name or body.__name__.replace("_", "-")
        _names.add(spoken)

        @functools.wraps(body)
        def run(c: Context, **values: Any) -> None:
            try:
                if any(values.get(word) in ("--help", "-h") for word in (*positional, several)):
                    _explain(_typed(spoken))
                    return
                if several:
                    further = [values.pop(key) for key in sorted(values) if key.startswith(f"{several}{_FURTHER}")]
                    values[several] = [values[several], *further]
                for option in required:
                    if values.get(option) in (None, "", []):
                        raise InputError(
                            f"{_typed(spoken)} needs --{option.replace('_', '-')}.",
                            hint=f"`{program()} {_typed(spoken)} --help` lists all options.",
                        )
                shared = {option.name: values.pop(option.name, option.default) for option in options}
                body(bind(c, shared) if bind else c, **values)
            except CloisterError as error:
                report(error)
                raise Exit(code=error.exit_code) from error
            except KeyboardInterrupt as error:
                print(_spoken(f"\nInterrupted. {str(error) or interrupted}".rstrip()), file=sys.stderr)
                raise Exit(code=INTERRUPTED) from error
            except BrokenPipeError as error:
                # The reader of our output has closed it: nothing more may be written there, not even at exit.
                sys.stdout = sys.__stdout__ = None
                raise Exit(code=0) from error
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                where = f" that holds {error.filename}" if error.filename else ""
                report(InputError(f"The disk{where} is full.", hint="Free some space, then run the command again."))
                raise Exit(code=InputError.exit_code) from error

        if options:
            _extend_signature(run, body, options)
        # The class instead of Invoke's decorator, whose return type is unknown.
        made = _Several if several else _Task
        words = [several] if several else list(positional)
        return made(
            run,
            name=name or None,
            positional=words,
            optional=list(optional),
            iterable=list(repeated),
            help=texts,
            auto_shortflags=False,
        )

    return wrap


def _described(help: Mapping[str, str], body: FunctionType, required: Collection[str]) -> dict[str, str]:
    """The help texts with what Invoke does not show: that an option is required, and its default."""
    parameters = inspect.signature(body).parameters
    made = {}
    for name, said in help.items():
        parameter = name.replace("-", "_")
        default = parameters[parameter].default
        if parameter in required:
            made[name] = f"{said} (required)"
        elif default and type(default) in (str, int) and "(default: " not in said:
            made[name] = f"{said} (default: {default})"
        else:
            made[name] = said
    return made


def _extend_signature(run: Callable[..., None], body: FunctionType, options: Sequence[Option]) -> None:
    """Let Invoke see the shared options, too: it reads a task's options from its signature."""
    signature = inspect.signature(body)
    shared = [
        inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default) for option in options
    ]
    setattr(run, "__signature__", signature.replace(parameters=[*signature.parameters.values(), *shared]))  # noqa: B010


_FURTHER = "_and_"


class _Number(Argument):
    """An option that takes an integer. For any other value Invoke itself prints a traceback."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        try:
            super().set_value(value, cast)
        except ValueError as error:
            report(InputError(f"--{self.names[0].replace('_', '-')} must be an integer, not {value!r}."))
            raise Exit(code=InputError.exit_code) from error


class _Task(Task[Callable[..., None]]):
    """A task whose integer options report invalid values."""

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
    """A task with a variable number of positional arguments. Invoke itself supports only a fixed number."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The declared arguments, and one for each further word on the command line."""
        made = super().get_arguments(ignore_unknown_help)
        (first,) = (one.name for one in made if one.positional)
        count = _count_words(sys.argv, _typed(self.name.replace("_", "-")), _takes_value(made))
        further = [f"{first}{_FURTHER}{number:03}" for number in range(2, count + 1)]
        return [*made, *(Argument(name=name, positional=True) for name in further)]


def words_of(task: Verb) -> str:
    """The words that a verb takes without the name of an option, for a line that shows its usage: `FILES...`."""
    more = "..." if isinstance(task, _Several) else ""
    return " ".join(f"{name.upper()}{more}" for name in task.positional or ())


def _count_words(argv: Sequence[str], verb: str, takes_value: Collection[str]) -> int:
    """How many words after ``verb`` are neither options nor their values."""
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
    """Print message and hint to standard error; with --debug also the traceback."""
    # Invoke acts on --debug only before the name of the verb.
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG) or "--debug" in sys.argv:
        print(_shown("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(_shown(_spoken(f"Error: {error.message}")), file=sys.stderr)
    if hint := error.hint or error.remedy:
        print(_shown(_spoken(hint)), file=sys.stderr)


def _shown(said: str) -> str:
    """A message without terminal control characters: messages quote peers, files and programs."""
    return text.printable(said, keep="\n\t")


def program() -> str:
    """The command that the user typed: ``invoke`` in a checkout, otherwise ``cloister``."""
    name = Path(sys.argv[0]).name
    return name if name in ("invoke", "inv") else "cloister"


def _typed(name: str) -> str:
    """The verb as it was typed: ``member.add`` for the task ``add``."""
    ends = (name, name.rstrip("-"))
    return next((word for word in sys.argv[1:] if word.rpartition(".")[2] in ends), name)


def _explain(typed: str) -> None:
    """Do what ``--help VERB`` does. Invoke would take --help after the verb for its positional argument."""
    start = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    subprocess.run([*start, "--help", typed], check=False)


def _spoken(said: str) -> str:
    """A message with its verbs as the reader types them, after the command."""
    return re.sub(r"`([a-z-]+)", lambda found: f"`{program()} {found[1]}" if found[1] in _names else found[0], said)
