"""When a new Azure budget may start. The configuration alone does not say whether the budget already exists."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from infra.configuration.validation import ConfigurationError
from infra.configuration.workspace import WorkspaceConfiguration

BUDGET_TYPE = "azure-native:consumption:Budget"
_MONTHS_AHEAD = 12
# Tolerates a wrong clock; Azure decides.
_TOLERANCE = datetime.timedelta(days=1)


def check(configured: WorkspaceConfiguration, resources: Sequence[Mapping[str, Any]], now: datetime.datetime) -> None:
    """Raise ConfigurationError when Azure would reject the budget of ``configured``; ``now`` is an aware time.

    Microsoft, "Budgets - Create Or Update", timePeriod: a start is in the current month, or at most twelve months
    ahead. A budget that exists among the stack's ``resources`` keeps its start.
    """
    if configured.azure is None or configured.budget is None:
        return
    start = configured.budget.start
    if start in _begun(resources):
        return
    month = datetime.date.fromisoformat(start)
    earliest, latest = (now - _TOLERANCE).date(), (now + _TOLERANCE).date()
    if month < earliest.replace(day=1) or _months(latest, month) > _MONTHS_AHEAD:
        this = f"{now.astimezone(datetime.UTC):%Y-%m}-01"
        raise ConfigurationError(
            "workspace",
            configured.name,
            (f"workspace.budget.start: must be this month ('{this}') or one of the next twelve, not '{start}'.",),
        )


def _begun(resources: Sequence[Mapping[str, Any]]) -> set[str]:
    """The start dates of the existing budgets."""
    periods = (one.get("inputs", {}).get("timePeriod", {}) for one in resources if one.get("type") == BUDGET_TYPE)
    return {str(period.get("startDate", "")).partition("T")[0] for period in periods}


def _months(earlier: datetime.date, later: datetime.date) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month
