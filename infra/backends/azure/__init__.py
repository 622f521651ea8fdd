"""A workspace in an Azure subscription: a resource group with its own network, identity and confidential VMs."""

import pulumi
import pulumi_azure_native as azure_native
from pulumi_azure_native import resources

from cloister.errors import InputError
from infra.backends import descriptor
from infra.backends.azure import budget, identity
from infra.backends.azure.disk import DiskEncryption
from infra.backends.azure.keys import DiskKey, KeyRelease
from infra.backends.azure.machine import Machines
from infra.backends.azure.network import Network
from infra.backends.component import WorkspaceBase
from infra.backends.rolling import RollingReplacement
from infra.configuration import addresses
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration
from infra.registry import published

PLATFORMS = {"sev-snp": "azure-snp", "tdx": "azure-tdx"}


class WorkspaceComponent(WorkspaceBase):
    """The CVMs of a workspace, in a resource group of their own."""

    def __init__(self, configuration: WorkspaceConfiguration, image: Image, options: pulumi.ResourceOptions) -> None:
        place = configuration.azure
        if place is None:
            raise InputError(
                f"The workspace {configuration.name!r} has no section azure.",
                hint="Add it to the configuration of the stack, or create a workspace: invoke workspace.new --help",
            )
        # Errors must be found before the first resource is declared.
        private_addresses = addresses.assign([cvm.name for cvm in configuration.cvms])
        encryption = DiskEncryption.for_image(image)
        release = KeyRelease.of(place) if encryption.customer_key else None
        super().__init__(configuration, image, options)
        provider = azure_native.Provider(
            "azure",
            subscription_id=place.subscription,
            tenant_id=place.tenant,
            location=place.location,
            # Usage is not attributed to Pulumi as a Microsoft partner.
            disable_pulumi_partner_id=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        own = pulumi.ResourceOptions(parent=self, provider=provider)
        group = resources.ResourceGroup(configuration.name, location=place.location, opts=own)
        machines = Machines(
            group=group,
            network=Network(configuration, private_addresses, group, own),
            identity=identity.declare(group, own),
            key=DiskKey(release, place, group, own) if release is not None else None,
            encryption=encryption,
            image=published.identifier(place.registry, image.deployed, place.location, parent=self),
            digest=image.deployed,
            options=own,
        )
        if configuration.budget is not None:
            budget.declare(configuration.budget, group, own)
        boots = descriptor.boot_configurations(configuration)
        rolling = RollingReplacement(configuration)
        endpoints = [machines.declare(cvm, boot, rolling) for cvm, boot in zip(configuration.cvms, boots, strict=True)]
        platforms = [PLATFORMS[cvm.tee] for cvm in configuration.cvms]
        self.publish(
            pulumi.Output.all(*endpoints).apply(
                lambda known: descriptor.describe(
                    configuration, image, boots, [str(one) for one in known], platforms, None
                )
            )
        )
