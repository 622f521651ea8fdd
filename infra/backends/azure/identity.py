"""The managed identity of the CVMs."""

import pulumi
from pulumi_azure_native import managedidentity, resources


def declare(group: resources.ResourceGroup, options: pulumi.ResourceOptions) -> managedidentity.UserAssignedIdentity:
    """An identity without any role. A token for it, which any process can get from the metadata service, gives access
    to nothing. Another identity that someone adds to a machine is a difference, which the next `up` removes.
    """
    return managedidentity.UserAssignedIdentity(
        "identity", resource_group_name=group.name, location=group.location, opts=options
    )
