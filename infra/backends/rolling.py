"""How the CVMs of a workspace are replaced: one after the other, and none while its run is unfinished.

A resource hook asks the agent right before a machine goes, for whatever reason: replaced, no longer configured,
destroyed. It runs in the preview as well, so that a refusal costs nothing. An agent that cannot be asked counts as one
with a run: from here nobody can tell a machine that died from one that computes behind a network that keeps us out.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import pulumi

from infra.configuration.workspace import WorkspaceConfiguration
from infra.provider.errors import ProviderError
from infra.provider.qemu.health import has_unfinished_run
from infra.resources.tags import BOOT as BOOT
from infra.resources.tags import ENDPOINT
from infra.resources.tags import IMAGE as IMAGE

HOOK = "occupancy"
_LOST = "Wait for the run or stop it; to lose it, set CLOISTER_FORCE=1 or cloister:workspace.force: true."
_DEAD = {"status": ("stopped",), "currentStatus": ("STOPPED", "TERMINATED")}
"""What the last refresh found of a machine that has nothing to lose any more: local, GCP (Compute Engine API,
instances, ``status``). Azure tells it of no VM.
"""


def hook(*, force: bool) -> pulumi.ResourceHook:
    """What asks the agent before its machine goes, unless ``force``. A machine's state calls for it by its name."""

    async def ask(arguments: pulumi.ResourceHookArgs) -> None:
        if force:
            return
        await asyncio.to_thread(
            refuse_unfinished, arguments.name, arguments.old_inputs or {}, arguments.old_outputs or {}
        )

    return pulumi.ResourceHook(HOOK, ask, pulumi.ResourceHookOptions(on_dry_run=True))


class Rolling:
    """Declares one machine after the other, each with ``turn`` before and ``done`` after."""

    def __init__(self, configuration: WorkspaceConfiguration) -> None:
        self._before: list[pulumi.Resource] = []
        self._hook = hook(force=configuration.force)

    def turn(self, machine: Mapping[str, str] | None = None) -> pulumi.ResourceOptions:
        """The options of the next machine. A change of ``machine`` replaces it, whatever else the provider would do:
        a boot configuration that reaches a running VM is measured by nobody.
        """
        return pulumi.ResourceOptions(
            # A machine that only waits for another is not replaced with it: none of its inputs come from there.
            depends_on=list(self._before),
            delete_before_replace=True,
            replacement_trigger=dict(machine) if machine is not None else None,
            hooks=pulumi.ResourceHookBinding(before_delete=[self._hook]),
        )

    def done(self, machine: pulumi.Resource) -> None:
        self._before = [machine]


def refuse_unfinished(cvm: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Raises ProviderError when the machine that was declared with ``inputs`` must stay."""
    if any(outputs.get(name) in values for name, values in _DEAD.items()):
        return
    what = f"The CVM {cvm!r} would be lost, but"
    try:
        unfinished = has_unfinished_run(_endpoint(inputs, outputs))
    except ProviderError as error:
        raise ProviderError(f"{what} {error.message.removesuffix('.')}.", hint=_LOST) from error
    if unfinished:
        raise ProviderError(f"{what} its run is unfinished.", hint=_LOST)


def _endpoint(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    """Where the machine says its agent listens.

    In a cloud a refresh may have changed that, and who may write there need not be allowed to delete the machine
    (Azure's role Tag Contributor). Such a person can name an agent without a run, and the next replacement loses the
    run that there is: a matter of availability and of nothing else.
    """
    for said in (inputs.get("tags"), inputs.get("metadata"), {ENDPOINT: outputs.get("endpoint")}):
        if isinstance(said, Mapping) and isinstance(said.get(ENDPOINT), str):
            return str(said[ENDPOINT])
    raise ProviderError("its state does not say where its agent listens")
