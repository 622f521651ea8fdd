"""The monthly budget of a workspace, with alerts."""

import pulumi
from pulumi_azure_native import consumption, resources

from infra.configuration.workspace import BudgetConfiguration


def declare(
    budget: BudgetConfiguration, group: resources.ResourceGroup, options: pulumi.ResourceOptions
) -> consumption.Budget:
    """A monthly budget of the resource group that sends mail when the cost passes each alert's percentage.

    Azure counts in the currency of the subscription's bill. A budget does not stop anything.
    """
    return consumption.Budget(
        "budget",
        scope=group.id,
        amount=budget.amount,
        category=consumption.CategoryType.COST,
        time_grain=consumption.TimeGrainType.MONTHLY,
        time_period=consumption.BudgetTimePeriodArgs(start_date=f"{budget.start}T00:00:00Z"),
        notifications={
            f"alert-{percent}": consumption.NotificationArgs(
                enabled=True,
                operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
                threshold=percent,
                threshold_type=consumption.ThresholdType.ACTUAL,
                contact_emails=list(budget.contacts),
            )
            for percent in budget.alerts
        },
        # Azure cannot change it on an existing budget (status 400).
        opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(replace_on_changes=["time_period"])),
    )
