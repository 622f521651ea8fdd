"""A party, or the platform team, that runs commands in its own folder on the reader's terminal."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cloister.errors import CloisterError
from image.inputs.lockfile import RELOCKED

CHECKOUT = Path(__file__).resolve().parents[1]
_STATE = ".state"
_KEPT = ("CLOISTER_DEBIAN_MIRROR", "CLOISTER_DEBIAN_SNAPSHOT", "CLOISTER_LOCKS")


@dataclass(frozen=True)
class Actor:
    """A party or the platform team, which runs commands in its own folder."""

    name: str
    folder: Path

    @property
    def key(self) -> str:
        """The file of its private key."""
        return f"{self.name}.pem"

    def run(self, command: str, *, quiet: bool = False) -> None:
        """Show a command and run it on the same terminal. Raises CloisterError when it fails."""
        print(f"{self.name}$ {command}", flush=True)
        words = shlex.split(command)
        output = subprocess.DEVNULL if quiet else None
        with subprocess.Popen(words, cwd=self.folder, env=_environment(self.folder), stdout=output) as process:
            try:
                status = process.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached the command, too: let it clean up and print its last lines.
                process.wait()
                raise
        if status:
            raise CloisterError(
                f"{words[0]} {words[1]} ended with status {status}; the demo stops here.",
                hint="See its output above. The workspace is unchanged: run the command again to continue with it.",
                exit_code=status,
            )

    def forget(self) -> None:
        """Forget what was accepted in an earlier demo: image and policy may be others now, and no one is asked."""
        shutil.rmtree(self.folder / _STATE, ignore_errors=True)

    def give(self, file: str, *receivers: "Actor", to: str = ".") -> None:
        """Copy a file to others, as they would by mail."""
        for receiver in receivers:
            target = receiver.folder / to
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / file, target / Path(file).name)
        names = ", ".join(receiver.name for receiver in receivers)
        print(f"  {self.name} gives {file} to {names}")


def headline(*lines: str) -> None:
    """Print what comes next."""
    print(f"\n=== {lines[0]}", *(f"    {line}" for line in lines[1:]), sep="\n", flush=True)


def relative(path: Path) -> str:
    """``path`` relative to the checkout, for a command line."""
    return shlex.quote(os.path.relpath(path, CHECKOUT))


def _environment(folder: Path) -> dict[str, str]:
    """The environment of every command: this interpreter's programs first, and no variable that replaces an option.

    A lock that --relock wrote applies to all later commands. Each actor remembers in its own folder what it accepted.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("CLOISTER_") or name in _KEPT}
    kept.setdefault("CLOISTER_LOCKS", str(RELOCKED))
    kept.pop("AGENT_GRPC_URL", None)
    state = str((folder / _STATE).absolute())
    return {**kept, "XDG_STATE_HOME": state, "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"}
