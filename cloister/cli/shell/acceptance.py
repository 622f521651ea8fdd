"""The questions and notes about what a party accepts for the first time, or instead of something else."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloister.cli.shell import show

if TYPE_CHECKING:
    from cloister.client.history.history import AcceptedChange


def confirm(workspace: str, changes: "Sequence[AcceptedChange]") -> bool:
    """Show what changed, and ask. Without a terminal no one says yes."""
    if not show.can_ask():
        return False
    show.note(f"In the workspace {workspace} this is not what you accepted before:")
    for change in changes:
        for line in change.lines:
            show.note(f"  {line}")
    return show.confirmed("Do you know why it changed, and accept it?")


def noted(said: str) -> None:
    """Note what is accepted for the first time."""
    show.note(f"Note: {said} `history` shows everything that you accepted.")
