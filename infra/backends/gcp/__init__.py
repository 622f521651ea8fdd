"""A workspace in a project of Google Cloud: one network, one key and one identity for its confidential VMs."""

import pulumi
import pulumi_gcp as gcp

from cloister.endpoint import PORT
from infra.backends.descriptor import boots, describe
from infra.backends.gcp import budget, keys, machine, names, network
from infra.backends.rolling import Rolling
from infra.configuration import cloud
from infra.configuration.addresses import assign
from infra.configuration.cloud import GcpConfiguration
from infra.configuration.image import Image
from infra.configuration.workspace import WorkspaceConfiguration
from infra.registry import published
from infra.resources.labels import labels


class Workspace(pulumi.ComponentResource):
    """The CVMs of a workspace, and what isolates them. ``descriptor`` is what its parties are handed."""

    descriptor: pulumi.Output[object]

    def __init__(self, configuration: WorkspaceConfiguration, image: Image) -> None:
        super().__init__("cloister:gcp:Workspace", configuration.name)
        if configuration.gcp is None:
            raise ValueError("The configuration of a workspace in Google Cloud has no section gcp.")
        where = configuration.gcp
        provider = _provider(where, pulumi.ResourceOptions(parent=self))
        options = pulumi.ResourceOptions(parent=self, provider=provider)
        number = gcp.organizations.get_project_output(
            project_id=where.project, opts=pulumi.InvokeOutputOptions(parent=self, provider=provider)
        ).number
        # First the key: who may use it is known everywhere in Google Cloud only some time after it was said.
        key = keys.declare(configuration, where.region, number, options)
        account = gcp.serviceaccount.Account(
            names.prefix(configuration.name),
            account_id=names.account(configuration.name),
            display_name=f"CVMs of the Cloister workspace {configuration.name}"[:100],
            description="Has no role and needs none: firewall rules know the agents by it.",
            opts=options,
        )
        if configuration.budget is not None:
            budget.declare(configuration, configuration.budget, number, options)
        place = machine.Place(
            workspace=configuration.name,
            region=where.region,
            source=image,
            image=published.identifier(where.registry, image.digest),
            labels=labels(configuration),
            network=network.declare(configuration, where.region, account, options),
            key=key,
            account=account,
        )
        self.descriptor = _machines(configuration, place, options)
        self.register_outputs({"descriptor": self.descriptor})


def _provider(where: GcpConfiguration, options: pulumi.ResourceOptions) -> gcp.Provider:
    """Whatever the environment says, this project and this region are meant."""
    return gcp.Provider(
        "gcp",
        project=where.project,
        region=where.region,
        # The Cloud Billing Budget API asks which project a person's own credentials come from (pulumi-gcp,
        # billing.Budget).
        user_project_override=True,
        billing_project=where.project,
        # Labels are the configuration's.
        add_pulumi_attribution_label=False,
        opts=options,
    )


def _machines(
    configuration: WorkspaceConfiguration, place: machine.Place, options: pulumi.ResourceOptions
) -> pulumi.Output[object]:
    addresses = assign([cvm.name for cvm in configuration.cvms])
    rolling = Rolling(configuration)
    told = boots(configuration)
    endpoints: list[pulumi.Output[str]] = []
    for cvm, boot in zip(configuration.cvms, told, strict=True):
        private = addresses[cvm.name]
        public = machine.public_address(cvm, place, options) if configuration.endpoint == cloud.PUBLIC else None
        endpoint = pulumi.Output.format("{0}:{1}", private if public is None else public.address, PORT)
        another = {
            "image": place.source.digest,
            "boot-configuration": boot.digest().hex(),
            "size": cvm.size,
            "tee": cvm.tee,
            "zone": cvm.zone,
        }
        turn = pulumi.ResourceOptions.merge(rolling.turn(another), options)
        rolling.done(machine.declare(cvm, boot, place, private, public, endpoint, turn))
        endpoints.append(endpoint)
    platforms = [machine.TECHNOLOGIES[cvm.tee].platform for cvm in configuration.cvms]
    return pulumi.Output.all(*endpoints).apply(
        lambda known: describe(configuration, place.source, told, [str(one) for one in known], platforms, None)
    )
