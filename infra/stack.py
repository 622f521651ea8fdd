"""Stacks, by way of the ``pulumi`` program: what a person would type, on the same terminal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import yaml

from cloister.errors import CloisterError, InputError
from cloister.process import ProcessError, run
from cloister.protocol.descriptor import Descriptor
from infra import engine, environment, layout
from infra.provider.names import CVM
from infra.provider.processes import Process
from infra.workspace import LOCAL

KEY = "cloister:workspace"
PROJECT = layout.CHECKOUT / "infra"


class StackError(CloisterError):
    """Pulumi refused or failed; what it said is on the terminal or in the message."""


@dataclass(frozen=True)
class Machine:
    """A CVM as the state knows it, and whether it still lives. ``memory`` in bytes."""

    name: str
    endpoint: str
    running: bool
    accelerator: str
    image: str
    memory: int
    vcpus: int


def create(name: str, settings: Mapping[str, str | int]) -> None:
    """A new stack, selected, with ``settings`` (path below ``cloister:workspace`` -> value)."""
    _run("stack", "init", name)
    configure(name, settings)


def configure(name: str, settings: Mapping[str, str | int]) -> None:
    """Set values of the workspace's configuration by their paths; a text stays one also when it looks like a number."""
    words = [word for path, value in settings.items() for word in ("--plaintext", f"{KEY}.{path}={value}")]
    _run("config", "set-all", "--path", *words, *_stack(name))
    for path, value in settings.items():
        # set-all knows no types: what it takes for a number or a truth value is written once more.
        if isinstance(value, str) and (value.isdigit() or value in ("true", "false")):
            _run("config", "set", "--path", "--type", "string", f"{KEY}.{path}", value, *_stack(name))


def unset(name: str, path: str) -> None:
    _run("config", "rm", "--path", f"{KEY}.{path}", *_stack(name))


def configuration(name: str) -> Any:
    """The value of ``cloister:workspace``, None when nothing is set."""
    found = _json("config", "--json", *_stack(name)).get(KEY)
    if found is None:
        return None
    return found.get("objectValue", found.get("value"))


def descriptor(name: str) -> Descriptor:
    """What the parties are handed. Raises InputError when the workspace is not up."""
    outputs = _json("stack", "output", "--json", *_stack(name))
    if "descriptor" not in outputs:
        raise InputError("The workspace is not up, so it has no descriptor.", hint="Start it: invoke workspace.up")
    return Descriptor.from_value(outputs["descriptor"])


def machines(name: str) -> tuple[Machine, ...]:
    """The CVMs of a stack."""
    resources = (_json("stack", "export", *_stack(name)).get("deployment") or {}).get("resources") or []
    found = []
    for outputs in (resource.get("outputs") or {} for resource in resources if resource["type"] == CVM):
        process = outputs.get("process") or {}
        alive = bool(process) and Process(int(process["pid"]), int(process["started"])).alive()
        found.append(
            Machine(
                name=outputs["name"],
                endpoint=outputs["endpoint"],
                running=alive,
                accelerator=outputs["accelerator"],
                image=outputs["imageDigest"],
                memory=int(outputs["memory"]),
                vcpus=int(outputs["vcpus"]),
            )
        )
    return tuple(found)


def names() -> dict[str, bool]:
    """The stacks of this project; True for the one that is selected."""
    return {entry["name"]: bool(entry["current"]) for entry in _json("stack", "ls", "--json")}


def selected(name: str) -> str:
    """``name``, or the stack that is selected when there is no name. Raises InputError."""
    known = names()
    if name in known:
        return name
    current = [one for one, is_current in known.items() if is_current]
    if not name and current:
        return current[0]
    said = f"There is no workspace {name!r}." if name else "No workspace is selected."
    hint = f"Workspaces: {', '.join(known)}." if known else "Make one: invoke workspace.new NAME"
    raise InputError(said, hint=hint)


def hand_over(*words: str) -> None:
    """Run ``pulumi`` on the user's terminal. Ctrl-C is for it alone: it stops what is under way and cleans up.

    Raises StackError when it fails, and KeyboardInterrupt when Ctrl-C was why.
    """
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    argv = ["pulumi", *words, *([] if interactive else ["--non-interactive"])]
    environment = _without_clouds(words) | _environment()
    interrupted = Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        # Started with a handler and not with SIG_IGN, which pulumi would inherit.
        status = subprocess.run(argv, cwd=PROJECT, env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if status and interrupted.is_set():
        raise KeyboardInterrupt
    if status:
        raise StackError(f"pulumi {words[0]} ended with status {status}.")


def _without_clouds(words: Sequence[str]) -> dict[str, str]:
    """What keeps the engine from fetching the plugins of clouds for the local stack that ``words`` name.

    Pulumi's language host asks for the plugin of each SDK that is installed, used or not: hundreds of megabytes, or
    seconds of fruitless looking where the network has none (GetRequiredPackages, pulumi/sdk, python).
    """
    named = PROJECT / f"Pulumi.{words[words.index('--stack') + 1]}.yaml" if "--stack" in words else None
    if named is None or not named.exists():
        return {}
    settings = yaml.safe_load(named.read_text()) or {}
    value = (settings.get("config") or {}).get(KEY)
    local = isinstance(value, dict) and value.get("backend") == LOCAL
    return {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1"} if local else {}


def _stack(name: str) -> Sequence[str]:
    return ("--stack", name) if name else ()


def _json(*words: str) -> Any:
    return json.loads(_run(*words))


def _run(*words: str) -> bytes:
    try:
        return run(["pulumi", *words, "--non-interactive"], cwd=PROJECT, env=_environment()).stdout
    except ProcessError as error:
        lines = [line.removeprefix("error: ") for line in error.message.splitlines()[1:] if line.strip()]
        raise StackError(f"pulumi {' '.join(words[:2])}: {' '.join(lines) or error.message}") from error


def _environment() -> dict[str, str]:
    found = engine.find()
    if found is None:
        raise StackError("The Pulumi engine is not on this machine.", hint="Fetch it: invoke setup")
    environment.write(found)
    return {**os.environ, **environment.variables(found)}
