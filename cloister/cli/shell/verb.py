"""The decorator that makes a function a verb: an Invoke task whose errors are sentences and exit codes."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from invoke.context import Context

from cloister.cli.shell import command_line, outcome
from cloister.cli.shell.arguments import ManyWordsTask, Verb, VerbTask, gathered
from cloister.cli.shell.options import Option
from cloister.errors import InputError

Bind = Callable[[Context, Mapping[str, Any]], object]


def verb(
    *,
    help: Mapping[str, str],
    example: str = "",
    name: str = "",
    positional: Sequence[str] = (),
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    several: str = "",
    repeated: Sequence[str] = (),
    interrupted: str = "",
    options: Sequence[Option] = (),
    bind: Bind | None = None,
) -> Callable[[FunctionType], Verb]:
    """Make a function a task. A CloisterError becomes a message and an exit code (docs/verbs.md, "Exit codes").

    help: the help text of each option of the function itself.
    example: a command as a user would type it, without ``cloister`` but with ``invoke``; the verb's help ends with it.
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
        called = name or body.__name__.replace("_", "-")
        words = (several,) if several else tuple(positional)
        declared = _Declared(body, called, words, bool(several), tuple(required), tuple(options), bind)
        outcome.register(called)

        @functools.wraps(body)
        def run(c: Context, **values: Any) -> None:
            with outcome.exit_codes(interrupted):
                declared.call(c, values)

        if example:
            typed = example if example.startswith("invoke ") else f"{command_line.program()} {example}"
            run.__doc__ = f"{inspect.getdoc(body)}\n\nExample: {typed}"
        if options:
            _extend_signature(run, body, options)
        # The class instead of Invoke's decorator, whose return type is unknown.
        made = ManyWordsTask if several else VerbTask
        return made(
            run,
            name=name or None,
            positional=list(words),
            optional=list(optional),
            iterable=list(repeated),
            help=_help_texts(help, body, required) | {option.name: option.help for option in options},
            auto_shortflags=False,
        )

    return wrap


@dataclass(frozen=True)
class _Declared:
    """A function with what its decorator declares about its arguments."""

    body: FunctionType
    name: str
    words: tuple[str, ...]
    many_words: bool
    required: tuple[str, ...]
    shared: tuple[Option, ...]
    bind: Bind | None

    def call(self, c: Context, values: dict[str, Any]) -> None:
        """Call the function with the values that Invoke parsed."""
        if self._ask_for_help(values):
            command_line.explain(command_line.typed_verb(self.name))
            return
        self._require(values)
        if self.many_words:
            values = gathered(values, self.words[0])
        shared = {option.name: values.pop(option.name, option.default) for option in self.shared}
        self.body(self.bind(c, shared) if self.bind else c, **values)

    def _ask_for_help(self, values: Mapping[str, Any]) -> bool:
        return any(values.get(word) in ("--help", "-h") for word in self.words)

    def _require(self, values: Mapping[str, Any]) -> None:
        """Raise InputError for a required option or word that is missing."""
        parameters = inspect.signature(self.body).parameters
        words = [word for word in self.words if parameters[word].default is inspect.Parameter.empty]
        for name in (*words, *self.required):
            if values.get(name) in (None, "", []):
                verb = command_line.typed_verb(self.name)
                missing = name.upper() if name in words else f"--{name.replace('_', '-')}"
                raise InputError(
                    f"{verb} needs {missing}{'...' if self.many_words and name in words else ''}.",
                    hint=f"`{command_line.program()} {verb} --help` lists all options.",
                )


def _help_texts(help: Mapping[str, str], body: FunctionType, required: Collection[str]) -> dict[str, str]:
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
