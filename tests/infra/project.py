"""Pulumi projects of tests: the real program and provider, with a state, home and configuration of their own."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from infra import paths
from infra.live import workspaces
from infra.pulumi_cli import engine as engines
from infra.pulumi_cli import environment

SECONDS = 600
_PAUSE = 0.05
MACHINES = (":Cvm", ":VirtualMachine", ":Instance")
STACK = "lab"
_LAUNCHER = "pulumi-language-python-exec"
_LIST = ("-m", "pip", "list", "-v", "--format", "json")
PLUGIN = "pulumi-resource-cloister-local"


@dataclass
class Project:
    """One stack in a folder of its own; ``state`` is where its machines live."""

    folder: Path
    state: Path
    stack: str
    environment: dict[str, str]

    @classmethod
    def create(
        cls,
        folder: Path,
        name: str,
        value: Mapping[str, Any],
        *,
        provider: Path,
        settings: Mapping[str, Any] | None = None,
        plugins: Mapping[str, Path] | None = None,
        program: str = "infra",
        key: str = workspaces.KEY,
        runner: str = shlex.quote(sys.executable),
    ) -> Self:
        """A project below ``folder`` whose stack ``name`` is configured with ``value`` at ``key`` and, beside that,
        ``settings``.

        ``provider`` is the folder of the provider's executable, ``plugins`` those of other providers by their names.
        ``program`` is the package of the Pulumi program; projects of several programs may share ``folder``. ``runner``
        are the words, for a shell, that run it.
        """
        made = cls.without_stack(folder, name, provider=provider, plugins=plugins, program=program, runner=runner)
        made.pulumi("stack", "init", name)
        configuration = made.folder / f"Pulumi.{name}.yaml"
        written = yaml.safe_load(configuration.read_text()) | {"config": {key: value, **(settings or {})}}
        configuration.write_text(yaml.safe_dump(written))
        return made

    @classmethod
    def without_stack(
        cls,
        folder: Path,
        name: str,
        *,
        provider: Path,
        plugins: Mapping[str, Path] | None = None,
        program: str = "infra",
        runner: str = shlex.quote(sys.executable),
    ) -> Self:
        """The same, where the stack ``name`` is yet to be made."""
        found = engines.find()
        if found is None:
            pytest.fail("There is no Pulumi engine on this machine: invoke setup")
        ours = {
            "CLOISTER_STATE": str(folder / "state"),
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "a test's",
            # Only the test's own plugins: without one, fail at once and not after a download.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "1",
        }
        given = {**os.environ, **ours}
        (folder / "state").mkdir(mode=0o700, exist_ok=True)
        place = folder / ("project" if program == "infra" else program)
        place.mkdir()
        declared = yaml.safe_load((paths.CHECKOUT / program.replace(".", "/") / "Pulumi.yaml").read_text())
        declared["runtime"]["options"]["virtualenv"] = sys.prefix
        providers = {one["name"]: str(provider) for one in declared.get("plugins", {}).get("providers", [])}
        providers |= {one: str(path) for one, path in (plugins or {}).items()}
        declared["plugins"] = {"providers": [{"name": one, "path": path} for one, path in providers.items()]}
        (place / "Pulumi.yaml").write_text(yaml.safe_dump(declared))
        (place / "__main__.py").write_text(f"import runpy\n\nrunpy.run_module({program!r})\n")
        complete = given | environment.variables(found, given)
        complete["PATH"] = f"{_python(place, runner)}{os.pathsep}{complete['PATH']}"
        return cls(place, folder / "state", name, complete)

    def pulumi(self, *words: str, good: bool = True) -> str:
        # As workspace.down does: without the program its hooks cannot ask, and the engine ends no machine that has one.
        further = ["--run-program"] if words[0] == "destroy" else []
        done = subprocess.run(
            ["pulumi", *words, *further, "--non-interactive"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is good, done.stdout
        return done.stdout

    def up(self, **expected: int) -> str:
        """``pulumi up``; ``expected`` are the counts of operations, as the engine's own event log has them."""
        said = self.pulumi("up", "--yes", "--skip-preview", "--json")
        changes = [json.loads(line) for line in said.splitlines() if "resourceChanges" in line]
        assert changes[-1]["summaryEvent"]["resourceChanges"] == expected, said
        return said

    def steps(self, said: str) -> list[tuple[str, str]]:
        """What ``pulumi up --json`` did with machines, in order: (operation, name of the CVM)."""
        found = []
        for line in said.splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            metadata = (event.get("resOutputsEvent") or {}).get("metadata") or {}
            if metadata.get("type", "").endswith(MACHINES) and metadata["op"] not in ("same", "refresh"):
                found.append((metadata["op"], metadata["urn"].rpartition("::")[2]))
        return found

    def machine(self) -> dict[str, Any]:
        resources = json.loads(self.pulumi("stack", "export"))["deployment"]["resources"]
        return next(one["outputs"] for one in resources if one["type"].endswith(":Cvm"))

    def nothing_is_left(self) -> bool:
        """No folder of the workspace, and no process that works below the state."""
        return not (self.state / self.stack).exists() and processes_below(self.state) == []


@cache
def _packages() -> str:
    return subprocess.run([sys.executable, *_LIST], stdout=subprocess.PIPE, text=True, check=True).stdout


def _python(folder: Path, runner: str) -> Path:
    """A folder for PATH with a ``python3`` that is this one, and has ``runner`` run the program. Before each operation
    the engine has pip list all packages, which takes longer than most programs; here it gets the list that this process
    had made once.
    """
    made = folder / "bin"
    made.mkdir()
    (made / "packages.json").write_text(_packages())
    (made / "python3").write_text(
        f"""#!/bin/sh
case "$*" in
  "{" ".join(_LIST)}") exec cat "{made}/packages.json" ;;
  /*/{_LAUNCHER}\\ *) exec {runner} "$@" ;;
esac
exec "{sys.executable}" "$@"
"""
    )
    (made / "python3").chmod(0o755)
    return made


def wait_for(happens: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Return as soon as ``happens`` says yes, looked at now and then; fail when it does not within ``seconds``."""
    never = threading.Event()
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"In {seconds:.0f} s it did not happen that {what}."
        never.wait(_PAUSE)


def processes_below(folder: Path) -> list[str]:
    """The command lines of live processes that work in ``folder`` or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = os.readlink(process / "cwd").removesuffix(" (deleted)")
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if Path(place).is_relative_to(folder.resolve()) and line:
            found.append(line)
    return found
