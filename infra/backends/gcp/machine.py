"""A confidential VM of Google Cloud."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from cloister.protocol.bootconfig import BootConfiguration
from infra.backends.gcp import names
from infra.backends.gcp.keys import DiskKey
from infra.backends.gcp.network import Network
from infra.backends.gcp.vocabulary import (
    AddressType,
    ConfidentialInstanceType,
    CpuPlatform,
    DiskType,
    HostMaintenance,
    KeyRevocation,
    NetworkTier,
    NicType,
    ProvisioningModel,
    Scope,
    StackType,
    Status,
)
from infra.configuration.image import Image
from infra.configuration.workspace import CvmConfiguration

_GIBIBYTE = 1 << 30
# Compute Engine, "About Persistent Disk": a balanced one has 10 GiB at least.
_LEAST_DISK = 10


@dataclass(frozen=True)
class Technology:
    """What a TEE is called here. SEV-SNP is refused without AMD Milan (pulumi-gcp, compute.Instance,
    confidentialInstanceType); c3, of one platform only, has TDX without that word.
    """

    kind: ConfidentialInstanceType
    processor: CpuPlatform | None
    platform: str


TECHNOLOGIES: Mapping[str, Technology] = {
    "sev-snp": Technology(ConfidentialInstanceType.SEV_SNP, CpuPlatform.AMD_MILAN, "gcp-snp"),
    "tdx": Technology(ConfidentialInstanceType.TDX, None, "gcp-tdx"),
}

# The guest has no login of any kind, and no program that would heed these. They say so where Google and an auditor look
# (Compute Engine, "Predefined metadata keys"). Guest attributes would be a way out for data.
LOCKED = {
    "block-project-ssh-keys": "TRUE",
    "enable-guest-attributes": "FALSE",
    "serial-port-enable": "FALSE",
    "serial-port-logging-enable": "FALSE",
}


@dataclass(frozen=True)
class Place:
    """What the CVMs of a workspace share. ``image`` is the self link of the published image of ``source``."""

    workspace: str
    region: str
    source: Image
    image: pulumi.Output[str]
    labels: Mapping[str, str]
    network: Network
    key: DiskKey
    account: gcp.serviceaccount.Account


def public_address(cvm: CvmConfiguration, place: Place, options: pulumi.ResourceOptions) -> gcp.compute.Address:
    """An address that outlives the instance, so that a replaced CVM answers at the same endpoint."""
    return gcp.compute.Address(
        names.prefix(place.workspace, cvm.name),
        region=place.region,
        address_type=AddressType.EXTERNAL,
        network_tier=NetworkTier.PREMIUM,
        opts=options,
    )


def declare(
    cvm: CvmConfiguration,
    boot: BootConfiguration,
    place: Place,
    private: str,
    public: gcp.compute.Address | None,
    endpoint: pulumi.Input[str],
    options: pulumi.ResourceOptions,
) -> gcp.compute.Instance:
    """The instance, at ``private`` in the subnet and, when there is one, at ``public``; ``endpoint`` is what the
    descriptor says (host:port).
    """
    technology = TECHNOLOGIES[cvm.tee]
    disk = -(-place.source.manifest.outputs["disk.raw"].size // _GIBIBYTE)
    external = (
        [gcp.compute.InstanceNetworkInterfaceAccessConfigArgs(nat_ip=public.address, network_tier=NetworkTier.PREMIUM)]
        if public is not None
        else None
    )
    return gcp.compute.Instance(
        cvm.name,
        name=names.instance(place.workspace, cvm.name),
        zone=f"{place.region}-{cvm.zone}",
        machine_type=cvm.size,
        min_cpu_platform=technology.processor,
        confidential_instance_config=gcp.compute.InstanceConfidentialInstanceConfigArgs(
            confidential_instance_type=technology.kind
        ),
        scheduling=gcp.compute.InstanceSchedulingArgs(
            # Neither technology can be moved to another host while it runs.
            on_host_maintenance=HostMaintenance.TERMINATE,
            # A machine that was started again has lost sessions, assets and run: it would answer as if it were the old
            # one, only empty. It stays down until somebody who looks says `up`.
            automatic_restart=False,
            provisioning_model=ProvisioningModel.STANDARD,
        ),
        # With it a refresh sees that the machine is down, and `up` starts it.
        desired_status=Status.RUNNING,
        shielded_instance_config=gcp.compute.InstanceShieldedInstanceConfigArgs(
            enable_vtpm=True,
            enable_integrity_monitoring=True,
            enable_secure_boot=place.source.signed,
        ),
        boot_disk=gcp.compute.InstanceBootDiskArgs(
            auto_delete=True,
            kms_key_self_link=place.key.identifier,
            initialize_params=gcp.compute.InstanceBootDiskInitializeParamsArgs(
                image=place.image,
                type=DiskType.BALANCED,
                size=max(disk, _LEAST_DISK),
                # A disk is paid for by itself, and does not inherit its instance's labels.
                labels=place.labels,
            ),
        ),
        key_revocation_action_type=KeyRevocation.STOP,
        network_interfaces=[
            gcp.compute.InstanceNetworkInterfaceArgs(
                subnetwork=place.network.subnetwork,
                network_ip=private,
                nic_type=NicType.GVNIC,
                stack_type=StackType.IPV4_ONLY,
                access_configs=external,
            )
        ],
        can_ip_forward=False,
        # It has no role. Without any scope the provider would attach no account at all, and the firewall knows the
        # agents by it (hashicorp/terraform-provider-google, issue 13807); this one lets it learn its own name.
        service_account=gcp.compute.InstanceServiceAccountArgs(email=place.account.email, scopes=[Scope.EMAIL]),
        metadata={
            **LOCKED,
            "cloister-boot-configuration": boot.encode().decode(),
            "cloister-boot-configuration-digest": boot.digest().hex(),
            "cloister-endpoint": endpoint,
            "cloister-image": place.source.digest,
        },
        opts=pulumi.ResourceOptions.merge(
            options,
            pulumi.ResourceOptions(
                depends_on=[place.key.access, *place.network.guards],
                # The provider would stop the machine for these and start it again empty, or tell it something else
                # than it has measured.
                replace_on_changes=[
                    "metadata",
                    "machineType",
                    "minCpuPlatform",
                    "confidentialInstanceConfig",
                    "shieldedInstanceConfig",
                    "serviceAccount",
                ],
                # Labels of a disk cannot be changed where it stands; those of the next one are right again.
                ignore_changes=["bootDisk.initializeParams.labels"],
            ),
        ),
    )
