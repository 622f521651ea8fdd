"""When a budget may begin: Azure creates none in the past, and does not change an existing one."""

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.configuration import budget, workspace
from infra.configuration.validation import ConfigurationError

CONFIGURATION = Path(__file__).parents[1] / "configurations" / "complete-azure.yaml"
START = "2026-12-01"


def configured(start: str) -> workspace.WorkspaceConfiguration:
    found = workspace.parse("lab", yaml.safe_load(CONFIGURATION.read_text())["value"])
    assert found.budget is not None
    return replace(found, budget=replace(found.budget, start=start))


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


@pytest.mark.parametrize("now", ["2026-12-01T00:00", "2026-12-31T23:59", "2027-01-01T12:00", "2025-12-01T00:00"])
def test_budget_starts_this_month_or_in_the_next_twelve(now: str):
    budget.check(configured(START), (), at(now))


@pytest.mark.parametrize("now", ["2027-01-02T00:00", "2030-06-15T00:00", "2025-11-29T00:00"])
def test_new_budget_in_the_past_or_far_future_is_rejected(now: str):
    with pytest.raises(ConfigurationError) as caught:
        budget.check(configured(START), (), at(now))
    assert caught.value.problems == (
        f"workspace.budget.start: must be this month ('{now[:7]}-01') or one of the next twelve, not '{START}'.",
    )


def of_state(start: str) -> dict[str, Any]:
    return {"type": budget.BUDGET_TYPE, "inputs": {"timePeriod": {"startDate": f"{start}T00:00:00Z"}}}


def test_existing_budget_keeps_its_start_and_another_start_is_new():
    budget.check(configured(START), [{"type": "pulumi:pulumi:Stack"}, of_state(START)], at("2030-06-15T00:00"))
    with pytest.raises(ConfigurationError):
        budget.check(configured("2030-01-01"), [of_state(START)], at("2030-06-15T00:00"))


def test_without_an_azure_budget_nothing_is_checked():
    found = configured(START)
    for other in (replace(found, budget=None), replace(found, azure=None)):
        budget.check(other, (), at("2030-06-15T00:00"))
