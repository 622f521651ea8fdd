"""The workspaces of this checkout: the stacks of the project ``infra/``."""

import datetime
from collections.abc import Mapping
from typing import Any

from cloister.errors import InputError
from cloister.protocol.descriptor import Descriptor
from infra import paths
from infra.backends import teardown
from infra.configuration import budget, initial, workspace
from infra.live import cvms as deployed
from infra.live.cvms import DeployedCvm
from infra.provider import authority
from infra.pulumi_cli.project import UNASKED, Project
from infra.reach import graph
from infra.reach.graph import ReachGraph
from infra.registry import registries
from infra.resources import resource

KEY = "cloister:workspace"
PROJECT = Project(paths.CHECKOUT / "infra", KEY, "workspace")

_FORCED = {"CLOISTER_FORCE": "1"}


def create(name: str, options: Mapping[str, str | int]) -> None:
    """A new workspace, selected, configured by the ``options`` of ``workspace.new``.

    Raises InputError for what is wrong with them; then nothing was created.
    """
    workspace.check_workspace_name(name)
    settings = initial.settings(name, options)
    registry = str(options.get("registry", ""))
    # A full name may be that of a registry in another Pulumi backend.
    if registry and "/" not in registry:
        registries.PROJECT.selected(registry)
    PROJECT.create(name)
    PROJECT.configure(name, settings)
    if settings["backend"] != workspace.LOCAL:
        PROJECT.use_declared_providers_only(name)


def check(name: str, *, new: bool = False) -> None:
    """Raise ConfigurationError for what is wrong with the configuration. With ``new``, also check the rules that apply
    only to resources that do not exist yet.
    """
    # Checked here as well as in the program, whose messages appear among the engine's. Only the program can read
    # secret values.
    configured = PROJECT.configuration(name)
    if configured is None:
        return
    parsed = workspace.parse(name, configured)
    if new and parsed.budget is not None:
        budget.check(parsed, PROJECT.resources(name), datetime.datetime.now(datetime.UTC))


def up(name: str, *, yes: bool, force: bool, replace: str = "") -> None:
    """Bring the workspace into the state that its configuration describes.

    ``force`` replaces a CVM even when its run is unfinished. ``replace`` is the name of a CVM to replace in any case.
    """
    check(name, new=True)
    options = ["--replace", cvm(name, replace).urn] if replace else []
    # The update refuses what a preview refuses, so that without a question one CVM needs no preview. Of several CVMs
    # the update would replace some before it reaches one that must stay: the preview asks all of them first.
    if yes:
        options += UNASKED if len(cvms(name)) < 2 else ["--yes"]
    PROJECT.up(name, *options, also=_FORCED if force else None)


def down(name: str, *, yes: bool, force: bool, remove: bool) -> None:
    """Delete the workspace's CVMs and what belongs to them; with ``remove`` also its keys and its configuration.

    ``force`` deletes a CVM even when its run is unfinished.
    """
    resources = PROJECT.resources(name)
    protected = any(one.get("protect") for one in resources)
    confirmed = UNASKED if yes else ()
    # With the program, whose hooks ask the agents: without it, the engine deletes no machine that has a hook.
    options = ["--run-program", *(["--exclude-protected"] if protected else [])]
    # A refresh would fail for a registry that no longer exists, and the machines would keep running and costing.
    options += ["--refresh=false"] if not all(map(PROJECT.holds, teardown.registries(resources))) else []
    also = {teardown.VARIABLE: "1"} | (_FORCED if force else {})
    PROJECT.destroy(name, *options, *confirmed, also=also)
    if protected and remove:
        # A cloud never frees the name of a key. The key stays there, and the state forgets it.
        PROJECT.destroy_protected(name, *confirmed)
    # An engine that was killed may not have recorded everything in the state.
    if not cvms(name):
        authority.sweep(name)
    if remove:
        PROJECT.remove(name)


def descriptor(name: str) -> Descriptor:
    """The workspace descriptor for the parties. Raises InputError when the workspace is not up."""
    outputs = PROJECT.outputs(name)
    if "descriptor" not in outputs:
        raise InputError("The workspace is not up, so it has no descriptor.", hint="Start it: invoke workspace.up")
    return Descriptor.from_value(outputs["descriptor"])


def cvms(name: str) -> tuple[DeployedCvm, ...]:
    """The CVMs of a workspace."""
    return deployed.from_state(PROJECT.resources(name))


def cvm(name: str, cvm: str) -> DeployedCvm:
    """The CVM ``cvm`` of a workspace. Raises InputError when it is not deployed."""
    known = {one.name: one for one in cvms(name)}
    if cvm not in known:
        raise InputError(f"The workspace {name!r} runs no CVM {cvm!r}.", hint=f"CVMs: {', '.join(known) or 'none'}.")
    return known[cvm]


def reach(name: str, *, planned: bool) -> ReachGraph:
    """Who can reach what: in the workspace as last deployed, or, with ``planned`` or when nothing is deployed, as its
    configuration would make it.
    """
    resources = [] if planned else PROJECT.resources(name)
    if not deployed.from_state(resources):
        check(name)
        resources = _planned(name)
    backend = (PROJECT.configuration(name) or {}).get("backend")
    return graph.build(str(backend), resource.from_state(resources))


def _planned(name: str) -> list[dict[str, Any]]:
    # Forced: a preview that only shows the plan must not ask the agents for unfinished runs.
    steps = PROJECT.json("preview", "--json", "--stack", name, also=_FORCED).get("steps") or ()
    return [step["newState"] for step in steps if step.get("newState")]
