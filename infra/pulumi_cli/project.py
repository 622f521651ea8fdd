"""A Pulumi project of this checkout, operated through the ``pulumi`` program in its folder."""

import errno
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from invoke.exceptions import Exit

from cloister.cli.shell import show
from cloister.errors import CloisterError, InputError
from cloister.process import run
from infra import paths
from infra.pulumi_cli import engine, environment, lock, operation
from infra.pulumi_cli.lock import StackLock

LOCAL = "local"
UNASKED = ("--yes", "--skip-preview")
"""Options of an operation that asks nothing."""

_NOISE = "an unhandled error occurred: program exited"
"""What the language host prints after the program's own error message."""
_TAIL_LINES = 12
_LOCKED = ("the stack is currently locked by", "Another update is currently in progress")
"""What pulumi prints about a lock: with a state in a folder or bucket, and in Pulumi Cloud."""
_FULL = os.strerror(errno.ENOSPC).lower()
_ASKING = ("up", "destroy")
"""The operations that pulumi starts only after a confirmation."""


class StackError(CloisterError):
    """Pulumi refused or failed; its output is on the terminal or in the message."""

    remedy = "Correct what pulumi reports, then run the command again."


class BusyError(StackError):
    """Another process is changing the stack, or was killed while doing so."""


@dataclass(frozen=True)
class Project:
    """``key`` holds the configuration of a stack; ``noun`` is what messages call a stack."""

    folder: Path
    key: str
    noun: str

    def create(self, name: str) -> None:
        """Create and select a stack without a configuration. Raises InputError when the name is taken."""
        try:
            self.run("stack", "init", name)
        except StackError as error:
            if name not in self.names():
                raise
            raise InputError(
                f"The {self.noun} {name!r} already exists.",
                hint=f"Choose another name, or remove it: invoke {self.noun}.down --stack {name} --remove",
            ) from error

    def configure(self, name: str, settings: Mapping[str, str | int]) -> None:
        """Set values by their paths below ``key``. A string stays a string even when it looks like a number."""
        words = [word for path, value in settings.items() for word in ("--plaintext", f"{self.key}.{path}={value}")]
        self.run("config", "set-all", "--path", *words, *_stack(name))
        for path, value in settings.items():
            # set-all has no types: a string that it would store as a number or boolean is written again.
            if isinstance(value, str) and (value.isdigit() or value in ("true", "false")):
                self.run("config", "set", "--path", "--type", "string", f"{self.key}.{path}", value, *_stack(name))

    def unset(self, name: str, path: str) -> None:
        self.run("config", "rm", "--path", f"{self.key}.{path}", *_stack(name))

    def use_declared_providers_only(self, name: str) -> None:
        """Disable Pulumi's default providers, so that every cloud resource names its subscription or project."""
        words = [f"pulumi:disable-default-providers[{index}]" for index in range(2)]
        settings = zip(words, ("azure-native", "gcp"), strict=True)
        plain = [word for path, value in settings for word in ("--plaintext", f"{path}={value}")]
        self.run("config", "set-all", "--path", *plain, *_stack(name))

    def configuration(self, name: str) -> Any:
        """The value of ``key``, None when nothing is set."""
        found = self.json("config", "--json", *_stack(name)).get(self.key)
        if found is None:
            return None
        return found.get("objectValue", found.get("value"))

    def written(self, name: str) -> Any:
        """The same, read from the stack's file without the engine. None also when there is no such file.

        Raises InputError for a file that is not YAML.
        """
        file = self.folder / f"Pulumi.{name}.yaml"
        if not file.exists():
            return None
        try:
            settings = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, OSError) as error:
            raise InputError(f"Cannot read {_shown(file)}: {error}.") from error
        found = settings.get("config") if isinstance(settings, dict) else None
        return found.get(self.key) if isinstance(found, dict) else None

    def outputs(self, name: str) -> dict[str, Any]:
        found = self.json("stack", "output", "--json", *_stack(name))
        return dict(found)

    def holds(self, name: str) -> bool:
        """Whether a stack with that full name exists, in any project."""
        try:
            self.outputs(name)
        except StackError:
            return False
        return True

    def up(self, name: str, *options: str, also: Mapping[str, str] | None = None) -> None:
        """``pulumi up``; see ``hand_over``."""
        self.hand_over("up", "--stack", name, "--suppress-outputs", *options, also=also)

    def destroy(self, name: str, *options: str, also: Mapping[str, str] | None = None) -> None:
        """``pulumi destroy``; see ``hand_over``."""
        self.hand_over("destroy", "--stack", name, "--suppress-outputs", *options, also=also)

    def destroy_protected(self, name: str, *options: str) -> None:
        """``pulumi destroy`` including protected resources.

        Runs without the program, which would protect them again; no resource of the stack may have hooks left.
        """
        self.run("state", "unprotect", "--all", "--yes", "--stack", name)
        self.hand_over("destroy", "--stack", name, "--run-program=false", *options)

    def remove(self, name: str) -> None:
        """Remove an empty stack and its configuration."""
        self.hand_over("stack", "rm", name, "--yes")

    def resources(self, name: str) -> list[dict[str, Any]]:
        """The resources in the stack's state, as the last operation left them."""
        found = self.json("stack", "export", *_stack(name)).get("deployment") or {}
        return found.get("resources") or []

    def names(self) -> dict[str, bool]:
        """The stacks of this project; True for the selected one."""
        return {entry["name"]: bool(entry["current"]) for entry in self.json("stack", "ls", "--json")}

    def selected(self, name: str) -> str:
        """``name``, or the selected stack when ``name`` is empty. Raises InputError when it does not exist."""
        known = self.names()
        if name in known:
            return name
        current = [one for one, is_current in known.items() if is_current]
        if not name and current:
            return current[0]
        said = f"The {self.noun} {name!r} does not exist." if name else f"No {self.noun} is selected."
        plural = {"registry": "Registries"}.get(self.noun, f"{self.noun.capitalize()}s")
        hint = f"{plural}: {', '.join(known)}." if known else f"Create one: invoke {self.noun}.new NAME"
        raise InputError(said, hint=hint)

    def hand_over(self, *words: str, also: Mapping[str, str] | None = None) -> None:
        """Run ``pulumi`` on the user's terminal, with ``also`` in its environment.

        Only pulumi reacts to Ctrl-C: it stops what it is doing and cleans up.

        Raises StackError when it fails, KeyboardInterrupt after Ctrl-C, Exit when the user declined, and InputError
        when it would have to ask and there is no terminal.
        """
        interactive = sys.stdin.isatty() and sys.stdout.isatty()
        if words[0] in _ASKING and "--yes" not in words and not interactive:
            raise show.cannot_ask()
        variables = self._without_clouds(words) | _environment() | dict(also or {})
        name = words[words.index("--stack") + 1] if "--stack" in words else ""
        self._refuse_busy(name, variables)
        done = operation.perform([*words, *([] if interactive else ["--non-interactive"])], self.folder, variables)
        if done.interrupted:
            raise KeyboardInterrupt
        if done.declined:
            raise Exit("Nothing was changed.", code=0)
        if done.status and any(said in done.said for said in _LOCKED):
            raise self._busy(name)
        if done.status:
            raise _failure(f"pulumi {words[0]} ended with status {done.status}.", done.said)

    def locks(self, name: str) -> list[StackLock]:
        """The locks of processes that are changing the stack, or were killed while doing so."""
        return self._locks(name, _environment())

    def _locks(self, name: str, variables: Mapping[str, str]) -> list[StackLock]:
        return lock.of(variables.get("PULUMI_BACKEND_URL", ""), self.folder, name)

    def _refuse_busy(self, name: str, variables: Mapping[str, str]) -> None:
        """Remove the locks of processes that have ended; raises BusyError for any other lock."""
        found = self._locks(name, variables)
        for one in found:
            if not one.is_left_behind():
                raise self._busy(name, one)
        for one in found:
            show.note(f"Removed the lock that a killed verb ({one.holder()}) left on the {self.noun} {name}.")
            one.remove()

    def _busy(self, name: str, by: StackLock | None = None) -> BusyError:
        holder = by.holder() if by else ""
        who = f" ({holder})" if holder else ""
        if by and by.is_of_this_host():
            hint = "Wait until it has ended. If it hangs, end it: the lock of an ended process is removed."
        else:
            place, script = (_shown(path) for path in (self.folder, paths.state() / paths.ENVIRONMENT))
            away = f". {script} && cd {place} && pulumi cancel {name}".rstrip()
            hint = f"Wait until it has ended. If it was killed, remove its lock: {away}"
        return BusyError(f"Another verb is changing the {self.noun} {name!r}{who}.", hint=hint)

    def json(self, *words: str, also: Mapping[str, str] | None = None) -> Any:
        """The parsed JSON output of ``pulumi``; ``also`` is added to its environment."""
        return json.loads(self.run(*words, also=also))

    def run(self, *words: str, also: Mapping[str, str] | None = None) -> bytes:
        """The output of ``pulumi``. Raises StackError with its error message."""
        variables = self._without_clouds(words) | _environment() | dict(also or {})
        done = run(["pulumi", *words, "--non-interactive"], cwd=self.folder, env=variables, check=False)
        if done.returncode:
            said = _complaint(done)
            raise _failure(f"pulumi {' '.join(words[:2])}: {said}", said)
        return done.stdout

    def _without_clouds(self, words: Sequence[str]) -> dict[str, str]:
        """The environment that keeps the engine from fetching cloud plugins for the local stack that ``words`` name.

        Pulumi's language host requires the plugin of each installed SDK, used or not: hundreds of megabytes, or seconds
        of failing lookups without a network (GetRequiredPackages, pulumi/sdk, python).
        """
        value = self.written(words[words.index("--stack") + 1]) if "--stack" in words else None
        local = isinstance(value, dict) and value.get("backend") == LOCAL
        return {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1"} if local else {}


def _shown(path: Path) -> str:
    """``path`` relative to the checkout, quoted for a shell."""
    return shlex.quote(str(path.relative_to(paths.CHECKOUT) if path.is_relative_to(paths.CHECKOUT) else path))


def _failure(message: str, said: str) -> StackError:
    """The error for what pulumi, or the provider through it, printed (``said``)."""
    if _FULL in said.lower():
        hint = f"A disk is full. Free space below {paths.state()}, then try again."
        return StackError(message, hint=hint, exit_code=InputError.exit_code)
    return StackError(message)


def _complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    """The errors of a failed ``pulumi``: from its JSON where it printed JSON, else its last lines."""
    try:
        diagnostics = json.loads(done.stdout)["diagnostics"]
        said = [str(one["message"]).strip() for one in diagnostics if one["severity"] == "error"]
    except (ValueError, KeyError, TypeError):
        said = (done.stdout + done.stderr).decode("utf-8", "replace").strip().splitlines()[-_TAIL_LINES:]
    lines = (line.strip().removeprefix("error: ") for line in said)
    return " ".join(line for line in lines if line and not line.startswith(_NOISE)) or f"status {done.returncode}"


def _stack(name: str) -> Sequence[str]:
    return ("--stack", name) if name else ()


def _environment() -> dict[str, str]:
    found = engine.find()
    if found is None:
        raise StackError("The Pulumi engine is not installed.", hint="Install it: invoke setup")
    environment.write(found)
    return {**os.environ, **environment.variables(found)}
