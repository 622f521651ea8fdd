"""When a budget may begin: what Azure asks of one that it does not have yet, which no configuration alone can know."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from infra.configuration.validation import ConfigurationError
from infra.configuration.workspace import WorkspaceConfiguration

KIND = "azure-native:consumption:Budget"
_MONTHS_AHEAD = 12
# A clock may be a little wrong; the last word has Azure.
_DOUBT = datetime.timedelta(days=1)


def check(configured: WorkspaceConfiguration, resources: Sequence[Mapping[str, Any]], now: datetime.datetime) -> None:
    """Raise ConfigurationError when ``configured`` has a budget that Azure will not make; ``now`` is an aware time.

    Microsoft, "Budgets - Create Or Update", timePeriod: a start in the past lies within the month, one in the future at
    most twelve months ahead. A budget that is among the stack's ``resources`` goes on from when it began.
    """
    if configured.azure is None or configured.budget is None:
        return
    start = configured.budget.start
    if start in _begun(resources):
        return
    month = datetime.date.fromisoformat(start)
    earliest, latest = (now - _DOUBT).date(), (now + _DOUBT).date()
    if month < earliest.replace(day=1) or _months(latest, month) > _MONTHS_AHEAD:
        this = f"{now.astimezone(datetime.UTC):%Y-%m}-01"
        raise ConfigurationError(
            "workspace",
            configured.name,
            (f"workspace.budget.start: '{start}'; a new budget begins this month, '{this}', or in the next twelve.",),
        )


def _begun(resources: Sequence[Mapping[str, Any]]) -> set[str]:
    """The first days of the budgets that are there."""
    periods = (one.get("inputs", {}).get("timePeriod", {}) for one in resources if one.get("type") == KIND)
    return {str(period.get("startDate", "")).partition("T")[0] for period in periods}


def _months(earlier: datetime.date, later: datetime.date) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month
