"""What a workspace may cost before somebody is told."""

import pulumi
from pulumi_azure_native import consumption, resources

from infra.configuration.workspace import BudgetConfiguration


def watch(
    budget: BudgetConfiguration, group: resources.ResourceGroup, options: pulumi.ResourceOptions
) -> consumption.Budget:
    """A monthly budget of the resource group: mails when the cost has passed each alert's percent of the amount.

    Azure counts in the currency of the subscription's bill and has no place for another; it stops nothing.
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
        # Azure changes it on no budget that is there (answer 400).
        opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(replace_on_changes=["time_period"])),
    )
