"""The end of a verb: the message that an exception becomes, and the exit code (docs/verbs.md, "Exit codes")."""

import contextlib
import errno
import logging
import os
import re
import sys
import traceback
from collections.abc import Generator

from invoke.exceptions import Exit

from cloister.cli.shell.command_line import has_option, program
from cloister.errors import INTERRUPTED, CloisterError, InputError
from cloister.protocol import text

_verbs: set[str] = set()


def register(verb: str) -> None:
    """Let messages show this verb as the reader types it, after the command."""
    _verbs.add(verb)


@contextlib.contextmanager
def exit_codes(interrupted: str) -> Generator[None, None, None]:
    """Turn an exception that a user can act on into its message and an Exit; let any other pass.

    interrupted: what Ctrl-C leaves behind, unless the KeyboardInterrupt itself says it.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except CloisterError as error:
        report(error)
        raise Exit(code=error.exit_code) from error
    except KeyboardInterrupt as error:
        print(_spoken(f"\nInterrupted. {str(error) or interrupted}".rstrip()), file=sys.stderr)
        raise Exit(code=INTERRUPTED) from error
    except BrokenPipeError as error:
        discard_output()
        raise Exit(code=0) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" that holds {error.filename}" if error.filename else ""
        report(InputError(f"The disk{where} is full.", hint="Free some space, then run the command again."))
        raise Exit(code=InputError.exit_code) from error


def discard_output() -> None:
    """Write nothing more to standard output, whose reader has closed it: not even at exit what is still in a buffer."""
    with contextlib.suppress(OSError, ValueError):  # no file is behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stdout = sys.__stdout__ = None


def report(error: CloisterError) -> None:
    """Print message and hint to standard error; with --debug also the traceback."""
    # Invoke acts on --debug only before the name of the verb.
    if logging.getLogger("invoke").isEnabledFor(logging.DEBUG) or has_option("--debug"):
        print(_shown("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    print(_shown(_spoken(f"Error: {error.message}")), file=sys.stderr)
    if hint := error.hint or error.remedy:
        print(_shown(_spoken(hint)), file=sys.stderr)


def _shown(said: str) -> str:
    """A message without terminal control characters: messages quote peers, files and programs."""
    return text.printable(said, keep="\n\t")


def _spoken(said: str) -> str:
    """A message with its verbs as the reader types them, after the command."""
    return re.sub(r"`([a-z-]+)", lambda found: f"`{program()} {found[1]}" if found[1] in _verbs else found[0], said)
