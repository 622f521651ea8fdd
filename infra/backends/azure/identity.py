"""Who the CVMs are towards Azure: an identity that may do nothing."""

import pulumi
from pulumi_azure_native import managedidentity, resources


def identify(group: resources.ResourceGroup, options: pulumi.ResourceOptions) -> managedidentity.UserAssignedIdentity:
    """An identity without a single role. A token for it, which every process that reaches the metadata service may
    have, opens nothing. One that somebody adds to a machine is a difference, which the next `up` takes away again.
    """
    return managedidentity.UserAssignedIdentity(
        "identity", resource_group_name=group.name, location=group.location, opts=options
    )
