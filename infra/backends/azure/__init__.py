"""A workspace in an Azure subscription: a resource group with network, identity and confidential VMs of its own."""

import pulumi
import pulumi_azure_native as azure_native
from pulumi_azure_native import resources

from cloister.errors import InputError
from infra.backends import descriptor
from infra.backends.azure.budget import watch
from infra.backends.azure.disk import form_of
from infra.backends.azure.identity import identify
from infra.backends.azure.keys import Keys, Release
from infra.backends.azure.machine import Machines
from infra.backends.azure.network import Network
from infra.backends.rolling import Rolling
from infra.configuration import addresses, workspace
from infra.configuration.image import Image
from infra.registry import published

PLATFORMS = {"sev-snp": "azure-snp", "tdx": "azure-tdx"}


class Workspace(pulumi.ComponentResource):
    """The machines of a workspace. ``descriptor`` is what its parties are handed."""

    descriptor: pulumi.Output[object]

    def __init__(self, configuration: workspace.WorkspaceConfiguration, image: Image) -> None:
        place = configuration.azure
        if place is None:
            raise InputError(f"The workspace {configuration.name!r} says nothing of Azure.")
        # Whatever can be wrong is found before the first resource is declared.
        given = addresses.assign([cvm.name for cvm in configuration.cvms])
        form = form_of(image)
        release = Release.of(place) if form.customer_key else None
        super().__init__("cloister:azure:Workspace", configuration.name)
        provider = azure_native.Provider(
            "azure",
            subscription_id=place.subscription,
            tenant_id=place.tenant,
            location=place.location,
            # What a consortium uses of Azure is not reported to Pulumi's makers.
            disable_pulumi_partner_id=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        options = pulumi.ResourceOptions(parent=self, provider=provider)
        group = resources.ResourceGroup(configuration.name, location=place.location, opts=options)
        machines = Machines(
            group=group,
            network=Network(configuration, given, group, options),
            identity=identify(group, options),
            keys=Keys(release, place, group, options) if release is not None else None,
            form=form,
            image=published.identifier(place.registry, image.digest, place.location),
            digest=image.digest,
            options=options,
        )
        if configuration.budget is not None:
            watch(configuration.budget, group, options)
        boots = descriptor.boots(configuration)
        rolling = Rolling(configuration)
        endpoints = [machines.declare(cvm, boot, rolling) for cvm, boot in zip(configuration.cvms, boots, strict=True)]
        platforms = [PLATFORMS[cvm.tee] for cvm in configuration.cvms]
        self.descriptor = pulumi.Output.all(*endpoints).apply(
            lambda found: descriptor.describe(configuration, image, boots, [str(one) for one in found], platforms, None)
        )
        self.register_outputs({"descriptor": self.descriptor})
