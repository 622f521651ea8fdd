"""Replaces the CVMs of a workspace one after the other, and none of them while its run is unfinished.

A resource hook asks the agent before its machine is deleted: replaced, removed from the configuration or destroyed. It
also runs in a preview, where a refusal costs nothing. An agent that does not answer counts as one with an unfinished
run: a dead machine cannot be told from one that is running behind a network that blocks us.
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
_HINT = "Wait for the run or stop it. To delete the CVM anyway, set CLOISTER_FORCE=1 or cloister:workspace.force: true."
_STOPPED = {"status": ("stopped",), "currentStatus": ("STOPPED", "TERMINATED")}
"""Outputs, as of the last refresh, of a machine that is stopped and has no run: local, and GCP (Compute Engine API,
instances, ``status``). Azure does not report this of a VM.
"""


def hook(*, force: bool) -> pulumi.ResourceHook:
    """The hook that refuses to delete a machine with an unfinished run, unless ``force``.

    A machine's state refers to it by the name HOOK.
    """

    async def check(arguments: pulumi.ResourceHookArgs) -> None:
        if force:
            return
        await asyncio.to_thread(
            refuse_unfinished, arguments.name, arguments.old_inputs or {}, arguments.old_outputs or {}
        )

    return pulumi.ResourceHook(HOOK, check, pulumi.ResourceHookOptions(on_dry_run=True))


class RollingReplacement:
    """Chains the machines of a workspace: each is declared with ``options`` and then passed to ``add``."""

    def __init__(self, configuration: WorkspaceConfiguration) -> None:
        self._previous: list[pulumi.Resource] = []
        self._hook = hook(force=configuration.force)

    def options(self, triggers: Mapping[str, str] | None = None) -> pulumi.ResourceOptions:
        """The options of the next machine. A change of ``triggers`` replaces the machine, even if the provider could
        update it: a running VM does not measure a new boot configuration.
        """
        return pulumi.ResourceOptions(
            # Depending on the previous machine does not replace this one with it: no input comes from there.
            depends_on=list(self._previous),
            delete_before_replace=True,
            replacement_trigger=dict(triggers) if triggers is not None else None,
            hooks=pulumi.ResourceHookBinding(before_delete=[self._hook]),
        )

    def add(self, machine: pulumi.Resource) -> None:
        self._previous = [machine]


def refuse_unfinished(cvm: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Raises ProviderError if the machine with ``inputs`` and ``outputs`` has, or may have, an unfinished run."""
    if any(outputs.get(name) in values for name, values in _STOPPED.items()):
        return
    what = f"Cannot delete the CVM {cvm!r}:"
    try:
        unfinished = has_unfinished_run(_endpoint(inputs, outputs))
    except ProviderError as error:
        raise ProviderError(f"{what} {error.message.removesuffix('.')}.", hint=_HINT) from error
    if unfinished:
        raise ProviderError(f"{what} its run is unfinished.", hint=_HINT)


def _endpoint(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    """The address of the machine's agent, from its tags, metadata or outputs.

    In a cloud, a refresh reads it back, and someone may be allowed to change it but not to delete the machine (Azure's
    role Tag Contributor). They could point it to an agent without a run, and the next replacement would lose the run.
    This affects availability only.
    """
    for place in (inputs.get("tags"), inputs.get("metadata"), {ENDPOINT: outputs.get("endpoint")}):
        if isinstance(place, Mapping) and isinstance(place.get(ENDPOINT), str):
            return str(place[ENDPOINT])
    raise ProviderError("its state has no address of its agent")
