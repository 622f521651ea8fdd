"""The verb ``doctor``."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cloister.cli.shell import check_report
from cloister.cli.shell.options import COLLATERAL, JSON, MANIFEST, PARTY
from cloister.cli.shell.settings import Settings, party_verb

if TYPE_CHECKING:
    from cloister.machinecheck import MachineCheck

_examine_checkout: "Callable[[], list[MachineCheck]] | None" = None


def set_checkout(examine: "Callable[[], list[MachineCheck]]") -> None:
    """Let the verb check first what the platform team needs, by ``examine``; its checks go before those of the name."""
    global _examine_checkout  # noqa: PLW0603 - set once, by the tasks of a checkout
    _examine_checkout = examine


@party_verb(
    options=[*PARTY, MANIFEST, COLLATERAL, JSON],
    example="doctor --key me.pem --policy policy.json --workspace workspace.json",
)
def doctor(settings: Settings) -> None:
    """Check what you need for a first verdict, and say how to fix what is missing or wrong.

    In a checkout it also checks what the platform team needs; what parties need only if a key, policy or workspace is
    set.
    """
    found = _examine_checkout() if _examine_checkout else []
    if not found or any(settings.path(name) for name in ("key", "policy", "workspace")):
        known = {check.name for check in found}
        found += [check for check in _party_checks(settings) if check.name not in known]
    check_report.report(found, as_json=settings.json)


def _party_checks(settings: Settings) -> "list[MachineCheck]":
    return list(settings.party.check_up(settings.path("manifest")))
