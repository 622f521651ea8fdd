"""Telling news to a command: the news as JSON on its standard input, never in its words."""

import json
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from cloister import process
from cloister.client.connection.retry import Backoff, Interrupted
from cloister.client.watch.news import News
from cloister.errors import CloisterError, InputError

SECONDS = 300.0
"""How long the command may take for one piece of news."""

PAUSES = (2.0, 10.0, 30.0)
"""Seconds before each further attempt to tell the same news, when the command failed."""


def parse_command(said: str) -> tuple[str, ...]:
    """The words of a command, without a shell: quotes group words, and nothing else has a meaning.

    The program is found now: later, another folder may be in the PATH's place. Raises InputError.
    """
    try:
        words = shlex.split(said)
    except ValueError as error:
        raise InputError(f"--exec is not a command: {said!r} ({error}).", hint="Close the quotation.") from error
    if not words:
        raise InputError("--exec needs a command.", hint="Name a program, which gets the news on its standard input.")
    program = shutil.which(words[0])
    if program is None:
        raise InputError(
            f"--exec: there is no program {words[0]!r}.",
            hint="Name a program on the PATH or by its path, which you may run. No shell is used: put what needs one "
            "into a script.",
        )
    return (str(Path(program).absolute()), *words[1:])


def tell(argv: Sequence[str], news: News, failed: Interrupted = lambda error, pause: None) -> None:
    """Run the command with the news as one line of JSON on its standard input; again a few times if it fails.

    Its output goes to standard error. ``failed`` is called before each further attempt. Raises CloisterError when it
    still fails.
    """
    line = json.dumps(news.value()).encode() + b"\n"
    left = Backoff(PAUSES, failed)
    while (error := _run(argv, line)) is not None:
        left.wait(error)


def _run(argv: Sequence[str], line: bytes) -> CloisterError | None:
    """What went wrong, if anything did."""
    hint = "The news counts as not told: `watch` begins with it when it is started again."
    try:
        done = process.run(argv, input=line, capture=False, to_stderr=True, check=False, timeout=SECONDS, children=True)
    except process.ProcessError as error:
        return CloisterError(error.message, hint=hint)
    if done.returncode:
        ended = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        return CloisterError(f"{argv[0]} failed with {ended}.", hint=hint)
    return None
