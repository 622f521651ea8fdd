"""The files of a fetch that is in progress, beside the output ``results.zip``.

    results.zip.part        the ciphertext as far as it has arrived
    results.zip.part.json   which result it belongs to; the command that fetches has it locked
    results.zip.key         the key, as soon as the agent has released it, then approvals that came with it (mode 0600)
    results.zip.key.part    disk space for them, reserved before the release
    results.zip.new         the decrypted result, until it is proven (mode 0600, like the result itself)
    results.zip.new.part    the same while the approvals are added to it

If anything fails after the release, the next call continues from these files without the agent.
"""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.client.files import exclusive
from cloister.errors import InputError


@dataclass(frozen=True)
class PendingFiles:
    """The files of one fetch."""

    output: Path

    def _beside(self, suffix: str) -> Path:
        return self.output.with_name(self.output.name + suffix)

    @property
    def part(self) -> Path:
        return self._beside(".part")

    @property
    def state(self) -> Path:
        return self._beside(".part.json")

    @property
    def key(self) -> Path:
        return self._beside(".key")

    @property
    def reserved(self) -> Path:
        return self._beside(".key.part")

    @property
    def new(self) -> Path:
        return self._beside(".new")

    @property
    def approved(self) -> Path:
        return self._beside(".new.part")

    def forget(self) -> None:
        """Remove everything but the output."""
        for path in (self.key, self.reserved, self.part, self.state, self.new, self.approved):
            path.unlink(missing_ok=True)


def has_pending_key(output: Path) -> bool:
    """Return whether an earlier call got the key but did not finish: then the agent is no longer needed."""
    return PendingFiles(output).key.exists()


@contextlib.contextmanager
def alone(output: Path) -> Generator[None]:
    """Keep other commands from fetching a result to ``output``. Raises InputError when one does already."""
    state = PendingFiles(output).state
    with contextlib.ExitStack() as stack:
        try:
            state.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive.locked(state))
        except BlockingIOError as error:
            raise InputError(
                f"Another command is fetching the result to {output}.", hint="Wait until it has ended, or end it."
            ) from error
        except OSError as error:
            raise userfile.unwritable(state, error) from error
        try:
            yield
        finally:
            if size(state) == 0:  # nothing was begun
                state.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes of a file; 0 for a missing file."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
