"""A workspace in a Google Cloud project: confidential VMs with one network, one key and one service account."""

import pulumi
import pulumi_gcp as gcp

from cloister.endpoint import PORT
from infra.backends.component import WorkspaceBase
from infra.backends.descriptor import boot_configurations, describe
from infra.backends.gcp import budget, keys, machine, names, network
from infra.backends.rolling import RollingReplacement
from infra.configuration import cloud
from infra.configuration.addresses import assign
from infra.configuration.cloud import GcpConfiguration
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration
from infra.registry import published
from infra.resources.labels import labels


class WorkspaceComponent(WorkspaceBase):
    """The CVMs of a workspace and their network."""

    def __init__(self, configuration: WorkspaceConfiguration, image: Image, options: pulumi.ResourceOptions) -> None:
        super().__init__(configuration, image, options)
        if configuration.gcp is None:
            raise ValueError("workspace.gcp is missing.")
        location = configuration.gcp
        provider = _provider(location, pulumi.ResourceOptions(parent=self))
        own = pulumi.ResourceOptions(parent=self, provider=provider)
        number = gcp.organizations.get_project_output(
            project_id=location.project, opts=pulumi.InvokeOutputOptions(parent=self, provider=provider)
        ).number
        # The key first: a role on it takes some time until it is effective everywhere in Google Cloud.
        key = keys.declare(configuration, location.region, number, own)
        account = gcp.serviceaccount.Account(
            names.prefix(configuration.name),
            account_id=names.account(configuration.name),
            display_name=f"CVMs of the Cloister workspace {configuration.name}"[:100],
            description="Has no role. Firewall rules select the CVMs by it.",
            opts=own,
        )
        if configuration.budget is not None:
            budget.declare(configuration, configuration.budget, number, own)
        shared = machine.SharedResources(
            workspace=configuration.name,
            region=location.region,
            source=image,
            image=published.identifier(location.registry, image.deployed, parent=self),
            labels=labels(configuration),
            network=network.declare(configuration, location.region, account, own),
            key=key,
            account=account,
        )
        self.publish(_machines(configuration, shared, own))


def _provider(location: GcpConfiguration, options: pulumi.ResourceOptions) -> gcp.Provider:
    """A provider pinned to the configured project and region, whatever the environment is."""
    return gcp.Provider(
        "gcp",
        project=location.project,
        region=location.region,
        # The Cloud Billing Budget API needs a quota project with user credentials (pulumi-gcp, billing.Budget).
        user_project_override=True,
        billing_project=location.project,
        # Labels come from the configuration only.
        add_pulumi_attribution_label=False,
        opts=options,
    )


def _machines(
    configuration: WorkspaceConfiguration, shared: machine.SharedResources, options: pulumi.ResourceOptions
) -> pulumi.Output[object]:
    addresses = assign([cvm.name for cvm in configuration.cvms])
    rolling = RollingReplacement(configuration)
    boots = boot_configurations(configuration)
    endpoints: list[pulumi.Output[str]] = []
    for cvm, boot in zip(configuration.cvms, boots, strict=True):
        private = addresses[cvm.name]
        public = machine.public_address(cvm, shared, options) if configuration.endpoint == cloud.PUBLIC else None
        endpoint = pulumi.Output.format("{0}:{1}", private if public is None else public.address, PORT)
        triggers = {
            "image": shared.source.deployed,
            "boot-configuration": boot.digest().hex(),
            "size": cvm.size,
            "tee": cvm.tee,
            "zone": cvm.zone,
        }
        machine_options = pulumi.ResourceOptions.merge(rolling.options(triggers), options)
        scratch = machine.scratch_disk(cvm, shared, options)
        rolling.add(machine.declare(cvm, boot, shared, scratch, private, public, endpoint, machine_options))
        endpoints.append(endpoint)
    platforms = [machine.TEE_SETTINGS[cvm.tee].platform for cvm in configuration.cvms]
    return pulumi.Output.all(*endpoints).apply(
        lambda known: describe(configuration, shared.source, boots, [str(one) for one in known], platforms, None)
    )
