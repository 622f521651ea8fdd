"""The monthly budget of a workspace, with alerts."""

import pulumi
import pulumi_gcp as gcp

from infra.backends.gcp.enums import BudgetPeriod, SpendBasis
from infra.configuration.cloud import WORKSPACE_LABEL
from infra.configuration.workspace import BudgetConfiguration, WorkspaceConfiguration

# Cloud Billing Budget API, Budget.displayName: at most 60 characters.
_LONGEST_NAME = 60


def declare(
    configuration: WorkspaceConfiguration,
    budget: BudgetConfiguration,
    project_number: pulumi.Output[str],
    options: pulumi.ResourceOptions,
) -> gcp.billing.Budget:
    """A budget of the billing account for resources with the workspace's label.

    Alerts go to the account's administrators and users. A budget does not stop anything.
    """
    return gcp.billing.Budget(
        "budget",
        billing_account=budget.billing_account,
        display_name=f"Cloister workspace {configuration.name}"[:_LONGEST_NAME],
        amount=gcp.billing.BudgetAmountArgs(
            specified_amount=gcp.billing.BudgetAmountSpecifiedAmountArgs(
                currency_code=budget.currency, units=str(budget.amount)
            )
        ),
        budget_filter=gcp.billing.BudgetBudgetFilterArgs(
            projects=[pulumi.Output.format("projects/{0}", project_number)],
            labels={WORKSPACE_LABEL: configuration.name},
            calendar_period=BudgetPeriod.MONTH,
        ),
        threshold_rules=[
            gcp.billing.BudgetThresholdRuleArgs(threshold_percent=alert / 100, spend_basis=SpendBasis.CURRENT)
            for alert in budget.alerts
        ],
        opts=options,
    )
