"""What ``workspace.status`` shows of a workspace."""

from collections.abc import Sequence
from dataclasses import dataclass

from cloister.cli.shell import show
from infra.live import drift, workspaces
from infra.live.cvms import DeployedCvm
from infra.live.drift import Difference


@dataclass(frozen=True)
class WorkspaceStatus:
    """The deployed CVMs, and where they differ from the configuration."""

    workspace: str
    cvms: Sequence[DeployedCvm]
    drift: Sequence[Difference] = ()
    not_compared: str = ""
    """Why ``drift`` is incomplete; "" when it is complete."""
    busy: bool = False
    """Another verb is changing the workspace."""


def of(name: str) -> WorkspaceStatus:
    """The status of the workspace ``name``; says at once when another verb is changing it."""
    cvms = workspaces.cvms(name)
    busy = any(not one.is_left_behind() for one in workspaces.PROJECT.locks(name))
    if busy:
        show.note(f"Another verb is changing the workspace {name}; this is its state before that.")
    differences, not_compared = drift.found(name, cvms) if cvms else ((), "")
    return WorkspaceStatus(name, cvms, differences, not_compared, busy)
