"""The root of every error that Cloister raises on purpose.

An error has a message, a hint that says what to do next, and the exit code of the verb that shows it. ``docs/verbs.md``
has the exit codes, ``docs/errors.md`` all errors.
"""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


class CloisterError(Exception):
    """An error that the reader can understand and act on.

    ``message`` is a sentence with the value that was wrong, ``hint`` an instruction (may be empty), ``exit_code`` the
    exit code of the process. A verb shows the class's ``remedy`` when there is no hint.
    """

    exit_code: int = 1
    remedy: str = "Run the command again; if it fails again, report the error to the platform team."

    def __init__(self, message: str, *, hint: str = "", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def _render_traceback_(self) -> list[str]:
        """What IPython and Jupyter show instead of a traceback: a line of the message, a line of what to do.

        Messages quote peers and files: control characters are replaced.
        """
        lines = [f"{type(self).__name__}: {self.message}", self.hint or self.remedy]
        return ["".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in one) for one in lines]


class InputError(CloisterError):
    """The caller's own input is wrong: a file, an option, a configuration."""

    exit_code = 2
    remedy = "Correct the input, then run the command again."


class ProofError(CloisterError):
    """A proof fails: evidence, a manifest digest, a signature, an event chain."""

    exit_code = 3
    remedy = "Do not trust it. Run the command again; if it fails again, report it to the platform team."


class ChangedFileError(ProofError):
    """A file does not prove what it should: it was changed, or is not what its sender says. No machine is asked."""

    remedy = "Do not use the file. Ask its sender for an unchanged copy."


class RefusedError(CloisterError):
    """The agent refuses a call: a role is missing, a result was consumed."""

    exit_code = 4
    remedy = "Ask the owner of the computation or the platform team."


class UnreachableError(CloisterError):
    """No connection to the address, or no answer."""

    exit_code = 5
    remedy = "Check the address and the network, then run the command again."
