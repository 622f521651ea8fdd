"""The root of every error that Cloister raises on purpose.

An error is a sentence for the reader, a hint that says what to do next, and the exit code of the verb
that shows it (``docs/verbs.md`` has the table of codes).
"""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class CloisterError(Exception):
    """Something that the reader can understand and act upon.

    ``message`` is one sentence with the value that was wrong, ``hint`` what to do about it (may be empty),
    ``exit_code`` what the process ends with.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InputError(CloisterError):
    """The caller's own input is wrong: a file, an option, a configuration."""

    exit_code = 2


class ProofError(CloisterError):
    """A proof fails: evidence, a manifest digest, a signature, an event chain."""

    exit_code = 3


class RefusedError(CloisterError):
    """The agent refuses: a role is missing, a result was consumed."""

    exit_code = 4


class UnreachableError(CloisterError):
    """Nobody answers at the address."""

    exit_code = 5
