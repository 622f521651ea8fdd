"""The workspaces of this checkout: the stacks of the project ``infra/``."""

import datetime
from collections.abc import Mapping
from typing import Any

from cloister.errors import InputError
from cloister.protocol.descriptor import Descriptor
from infra import paths
from infra.configuration import budget, workspace
from infra.live.cvms import DeployedCvm, from_state
from infra.pulumi_cli.project import Project
from infra.reach import graph
from infra.reach.graph import ReachGraph
from infra.resources import resource

KEY = "cloister:workspace"
PROJECT = Project(paths.CHECKOUT / "infra", KEY, "workspace")


def create(name: str, settings: Mapping[str, str | int]) -> None:
    """A new stack, selected, with ``settings`` (path below ``cloister:workspace`` -> value)."""
    PROJECT.create(name)
    PROJECT.configure(name, settings)


def configure(name: str, settings: Mapping[str, str | int]) -> None:
    """Set values of the workspace's configuration by their paths; a text stays one also when it looks like a number."""
    PROJECT.configure(name, settings)


def unset(name: str, path: str) -> None:
    PROJECT.unset(name, path)


def configuration(name: str) -> Any:
    """The value of ``cloister:workspace``, None when nothing is set."""
    return PROJECT.configuration(name)


def check(name: str, *, new: bool = False) -> None:
    """Raise ConfigurationError for what is wrong with the configuration, with ``new`` also for what only something new
    cannot have.
    """
    # Here and not in the program alone, whose sentences come among the engine's. What is secret only that can read.
    configured = configuration(name)
    if configured is None:
        return
    parsed = workspace.parse(name, configured)
    if new and parsed.budget is not None:
        budget.check(parsed, PROJECT.resources(name), datetime.datetime.now(datetime.UTC))


def descriptor(name: str) -> Descriptor:
    """What the parties are handed. Raises InputError when the workspace is not up."""
    outputs = PROJECT.outputs(name)
    if "descriptor" not in outputs:
        raise InputError("The workspace is not up, so it has no descriptor.", hint="Start it: invoke workspace.up")
    return Descriptor.from_value(outputs["descriptor"])


def cvms(name: str) -> tuple[DeployedCvm, ...]:
    """The CVMs of a stack."""
    return from_state(PROJECT.resources(name))


def cvm(name: str, cvm: str) -> DeployedCvm:
    """The CVM ``cvm`` of a stack. Raises InputError when it is not there."""
    known = {one.name: one for one in cvms(name)}
    if cvm not in known:
        raise InputError(f"The workspace {name!r} runs no CVM {cvm!r}.", hint=f"CVMs: {', '.join(known) or 'none'}.")
    return known[cvm]


def reach(name: str, *, planned: bool) -> ReachGraph:
    """Who can reach what in the stack as it was last declared, or, when ``planned`` or nothing is up, as its
    configuration would have it.
    """
    resources = [] if planned else PROJECT.resources(name)
    if not from_state(resources):
        check(name)
        resources = _planned(name)
    backend = (configuration(name) or {}).get("backend")
    return graph.build(str(backend), resource.from_state(resources))


def _planned(name: str) -> list[dict[str, Any]]:
    # Who only looks does not ask the machines whether they may be lost.
    steps = PROJECT.json("preview", "--json", "--stack", name, also={"CLOISTER_FORCE": "1"}).get("steps") or ()
    return [step["newState"] for step in steps if step.get("newState")]


def names() -> dict[str, bool]:
    """The stacks of this project; True for the one that is selected."""
    return PROJECT.names()


def selected(name: str) -> str:
    """``name``, or the stack that is selected when there is no name. Raises InputError."""
    return PROJECT.selected(name)


def hand_over(*words: str) -> None:
    """Run ``pulumi`` on the user's terminal; see ``Project.hand_over``."""
    PROJECT.hand_over(*words)
