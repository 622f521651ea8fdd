"""Invoke tasks whose arguments do what Invoke's do not: invalid integers are messages, words may be any number.

Also the form of words that Invoke does not know, such as ``NAME=PATH``.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit
from invoke.parser import Argument
from invoke.tasks import Task

from cloister.cli.shell import command_line, outcome
from cloister.errors import InputError

Verb = Task[Callable[..., None]]

_FURTHER = "_and_"


class VerbTask(Task[Callable[..., None]]):
    """A task whose integer options report invalid values, and whose words may be missing."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the arguments of the signature, those with integers or without words replaced."""
        made = [_number(one) if one.kind is int else one for one in super().get_arguments(ignore_unknown_help)]
        count = self._count_words(made) if any(one.positional for one in made) else 0
        words = [name for name in self.positional or () if name != "_"]
        return [_word(one, is_typed=words.index(one.name) < count) if one.name in words else one for one in made]

    def _count_words(self, arguments: Collection[Argument]) -> int:
        """How many words were typed after the verb that are not options."""
        takes_value = {f"--{name.replace('_', '-')}" for one in arguments if one.takes_value for name in one.names}
        return command_line.count_words(command_line.typed_verb(self.name.replace("_", "-")), takes_value)


class ManyWordsTask(VerbTask):
    """A task with a variable number of words. Invoke itself supports only a fixed number."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the declared arguments, and one for each further word on the command line."""
        made = super().get_arguments(ignore_unknown_help)
        (first,) = (one.name for one in made if one.positional)
        further = [f"{first}{_FURTHER}{number:03}" for number in range(2, self._count_words(made) + 1)]
        return [*made, *(Argument(name=name, positional=True) for name in further)]


def gathered(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the values that a ManyWordsTask was called with, those of all words in one list under ``name``."""
    further = sorted(key for key in values if key.startswith(f"{name}{_FURTHER}"))
    kept = {key: value for key, value in values.items() if key not in further}
    return kept | {name: [values[name], *(values[key] for key in further)]}


def words_of(task: Verb) -> str:
    """Return the words that a verb takes without the name of an option, as its usage shows them: ``FILES...``.

    Words that may all be missing are in brackets.
    """
    if not isinstance(task, ManyWordsTask):
        return " ".join(name.upper() for name in task.positional or ())
    name = "".join(task.positional or ())  # exactly one
    optional = inspect.signature(task.body).parameters[name].default is not inspect.Parameter.empty
    return f"[{name.upper()}...]" if optional else f"{name.upper()}..."


def named_paths(option: str, words: Sequence[str]) -> dict[str, Path]:
    """The path of each name, from the words ``NAME=PATH`` of a repeated option. Raises InputError."""
    found: dict[str, Path] = {}
    for word in words:
        name, _, path = word.partition("=")
        if not name or not path:
            raise InputError(f"--{option} must be NAME=PATH, not {word!r}.")
        if name in found:
            raise InputError(
                f"--{option} names {name} twice: {found[name]} and {path}.", hint="Keep one of the two options."
            )
        found[name] = Path(path)
    return found


class _Number(Argument):
    """An option that takes an integer. For any other value Invoke itself prints a traceback."""

    def set_value(self, value: Any, cast: bool = True) -> None:
        try:
            super().set_value(value, cast)
        except ValueError as error:
            outcome.report(InputError(f"--{self.names[0].replace('_', '-')} must be an integer, not {value!r}."))
            raise Exit(code=InputError.exit_code) from error


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


def _word(one: Argument, *, is_typed: bool) -> Argument:
    """A positional argument without its default if its word was typed: Invoke passes over one that has a value.

    Of a word that was not typed, the verb itself says that it is missing.
    """
    if (one.default is None) == is_typed:
        return one
    default = None if is_typed else ""
    return Argument(names=one.names, help=one.help, positional=True, attr_name=one.attr_name, default=default)
