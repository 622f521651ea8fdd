"""What makes a function a verb: an Invoke task that checks what it needs and ends like docs/verbs.md says."""

import functools
import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from invoke.exceptions import Exit
from invoke.tasks import Task

from cloister.errors import CloisterError, InputError

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

Verb = Task[Callable[..., None]]

_names: set[str] = set()


def verb(
    *,
    help: Mapping[str, str],
    positional: Sequence[str] = (),
    required: Sequence[str] = (),
    optional: Sequence[str] = (),
    interrupted: str = "",
) -> Callable[[FunctionType], Verb]:
    """Make a function a task.

    ``help`` says what each option is. ``required`` names options without which nothing starts: Invoke itself would pass
    None for them. ``interrupted`` says what Ctrl-C leaves behind. A CloisterError becomes a sentence and an exit code.
    """

    def wrap(body: FunctionType) -> Verb:
        name = body.__name__.replace("_", "-")
        _names.add(name)

        @functools.wraps(body)
        def run(*args: Any, **options: Any) -> None:
            try:
                if any(options.get(word) in ("--help", "-h") for word in positional):
                    _explain(_typed(name))
                    return
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
                print(f"\nInterrupted. {interrupted}".rstrip(), file=sys.stderr)
                raise Exit(code=INTERRUPTED) from error
            except BrokenPipeError as error:
                # Whoever read our output has seen enough; nothing more may be written there, at exit neither.
                sys.stdout = sys.__stdout__ = None
                raise Exit(code=0) from error

        # The class and not its decorator: that one has no type that says what it returns.
        return Task(run, positional=list(positional), optional=list(optional), help=dict(help), auto_shortflags=False)

    return wrap


def report(error: CloisterError) -> None:
    """Say on standard error what went wrong and what to do, with the traceback when --debug asks for it."""
    # Invoke acts upon --debug before the verb's name and merely tolerates it behind.
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG) or "--debug" in sys.argv:
        traceback.print_exception(error)
    print(_spoken(f"Error: {error.message}"), file=sys.stderr)
    if error.hint:
        print(_spoken(error.hint), file=sys.stderr)


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


def _spoken(text: str) -> str:
    """Messages name verbs like `policy`; the reader types them after a command."""
    return re.sub(r"`([a-z-]+)", lambda found: f"`{program()} {found[1]}" if found[1] in _names else found[0], text)
