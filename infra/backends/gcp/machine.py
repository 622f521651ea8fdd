"""A confidential VM of Google Cloud."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from cloister.protocol.bootconfig import BootConfiguration
from infra.backends.gcp import names
from infra.backends.gcp.enums import (
    AddressType,
    ConfidentialInstanceType,
    CpuPlatform,
    DiskMode,
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
from infra.backends.gcp.keys import DiskKey
from infra.backends.gcp.network import Network
from infra.configuration.image import Image
from infra.configuration.scratch import GIBIBYTE
from infra.configuration.workspace import CvmConfiguration

# Compute Engine, "About Persistent Disk": a balanced disk has at least 10 GiB.
_MIN_DISK_GIB = 10


@dataclass(frozen=True)
class TeeSettings:
    """Compute Engine's settings for a TEE.

    SEV-SNP requires the CPU platform AMD Milan (pulumi-gcp, compute.Instance, confidentialInstanceType). TDX needs
    none: c3 has only one CPU platform.
    """

    instance_type: ConfidentialInstanceType
    cpu_platform: CpuPlatform | None
    platform: str


TEE_SETTINGS: Mapping[str, TeeSettings] = {
    "sev-snp": TeeSettings(ConfidentialInstanceType.SEV_SNP, CpuPlatform.AMD_MILAN, "gcp-snp"),
    "tdx": TeeSettings(ConfidentialInstanceType.TDX, None, "gcp-tdx"),
}

# The guest has no login and no program that reads these. They are set for Google and for auditors (Compute Engine,
# "Predefined metadata keys"). Guest attributes could carry data out.
LOCKDOWN_METADATA = {
    "block-project-ssh-keys": "TRUE",
    "enable-guest-attributes": "FALSE",
    "serial-port-enable": "FALSE",
    "serial-port-logging-enable": "FALSE",
}


@dataclass(frozen=True)
class SharedResources:
    """What the CVMs of a workspace share."""

    workspace: str
    """The workspace's name."""

    region: str

    source: Image
    """The image on this machine."""

    image: pulumi.Output[str]
    """The self link of the published image."""

    labels: Mapping[str, str]

    network: Network

    key: DiskKey
    """Encrypts the boot disks."""

    account: gcp.serviceaccount.Account
    """The identity of the CVMs; it has no role."""


def public_address(
    cvm: CvmConfiguration, shared: SharedResources, options: pulumi.ResourceOptions
) -> gcp.compute.Address:
    """A static address that outlives the instance, so that a replaced CVM keeps its endpoint."""
    return gcp.compute.Address(
        names.prefix(shared.workspace, cvm.name),
        region=shared.region,
        address_type=AddressType.EXTERNAL,
        network_tier=NetworkTier.PREMIUM,
        opts=options,
    )


def scratch_disk(
    cvm: CvmConfiguration, shared: SharedResources, options: pulumi.ResourceOptions
) -> gcp.compute.Disk | None:
    """The scratch disk, which outlives the instance; None if the CVM has none.

    The guest encrypts it under a key that exists in its memory only, so a replaced CVM finds nothing on it.
    """
    if not cvm.scratch:
        return None
    return gcp.compute.Disk(
        f"{cvm.name}-scratch",
        name=names.disk(shared.workspace, cvm.name),
        zone=f"{shared.region}-{cvm.zone}",
        type=DiskType.BALANCED,
        size=cvm.scratch // GIBIBYTE,
        disk_encryption_key=gcp.compute.DiskDiskEncryptionKeyArgs(kms_key_self_link=shared.key.identifier),
        labels=shared.labels,
        opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[shared.key.access])),
    )


def declare(
    cvm: CvmConfiguration,
    boot: BootConfiguration,
    shared: SharedResources,
    scratch: gcp.compute.Disk | None,
    private: str,
    public: gcp.compute.Address | None,
    endpoint: pulumi.Input[str],
    options: pulumi.ResourceOptions,
) -> gcp.compute.Instance:
    """The instance, with the disk ``scratch`` and the address ``public``, unless they are None.

    ``private`` is its address in the subnet.

    ``endpoint`` is the one in the descriptor (host:port).
    """
    tee = TEE_SETTINGS[cvm.tee]
    disk_gib = -(-shared.source.outputs["disk.raw"].size // GIBIBYTE)
    external = (
        [gcp.compute.InstanceNetworkInterfaceAccessConfigArgs(nat_ip=public.address, network_tier=NetworkTier.PREMIUM)]
        if public is not None
        else None
    )
    return gcp.compute.Instance(
        cvm.name,
        name=names.instance(shared.workspace, cvm.name),
        zone=f"{shared.region}-{cvm.zone}",
        machine_type=cvm.size,
        min_cpu_platform=tee.cpu_platform,
        confidential_instance_config=gcp.compute.InstanceConfidentialInstanceConfigArgs(
            confidential_instance_type=tee.instance_type
        ),
        scheduling=gcp.compute.InstanceSchedulingArgs(
            # Neither SEV-SNP nor TDX supports live migration.
            on_host_maintenance=HostMaintenance.TERMINATE,
            # A restarted machine has lost its sessions, assets and run, but would answer at the same address. It stays
            # stopped until someone runs `up`.
            automatic_restart=False,
            provisioning_model=ProvisioningModel.STANDARD,
        ),
        # So that a refresh notices a stopped machine, and `up` starts it.
        desired_status=Status.RUNNING,
        shielded_instance_config=gcp.compute.InstanceShieldedInstanceConfigArgs(
            enable_vtpm=True,
            enable_integrity_monitoring=True,
            enable_secure_boot=shared.source.signed,
        ),
        boot_disk=gcp.compute.InstanceBootDiskArgs(
            auto_delete=True,
            kms_key_self_link=shared.key.identifier,
            initialize_params=gcp.compute.InstanceBootDiskInitializeParamsArgs(
                image=shared.image,
                type=DiskType.BALANCED,
                size=max(disk_gib, _MIN_DISK_GIB),
                # A disk is billed separately and does not inherit the labels of its instance.
                labels=shared.labels,
            ),
        ),
        attached_disks=(
            [gcp.compute.InstanceAttachedDiskArgs(source=scratch.self_link, mode=DiskMode.READ_WRITE)]
            if scratch is not None
            else None
        ),
        key_revocation_action_type=KeyRevocation.STOP,
        network_interfaces=[
            gcp.compute.InstanceNetworkInterfaceArgs(
                subnetwork=shared.network.subnetwork,
                network_ip=private,
                nic_type=NicType.GVNIC,
                stack_type=StackType.IPV4_ONLY,
                access_configs=external,
            )
        ],
        can_ip_forward=False,
        # The account has no role. Without any scope the provider would not attach it, and firewall rules know the
        # agents by it (hashicorp/terraform-provider-google, issue 13807). The scope reveals the account's name only.
        service_account=gcp.compute.InstanceServiceAccountArgs(email=shared.account.email, scopes=[Scope.EMAIL]),
        metadata={
            **LOCKDOWN_METADATA,
            "cloister-boot-configuration": boot.encode().decode(),
            "cloister-boot-configuration-digest": boot.digest().hex(),
            "cloister-endpoint": endpoint,
            "cloister-image": shared.source.deployed,
        },
        opts=pulumi.ResourceOptions.merge(
            options,
            pulumi.ResourceOptions(
                depends_on=[shared.key.access, *shared.network.prerequisites],
                # For these the provider would restart the machine, which loses its state, or change the metadata that
                # it has measured.
                replace_on_changes=[
                    "metadata",
                    "machineType",
                    "minCpuPlatform",
                    "confidentialInstanceConfig",
                    "shieldedInstanceConfig",
                    "serviceAccount",
                ],
                # The labels of an existing disk cannot be changed; the next disk gets the new ones.
                ignore_changes=["bootDisk.initializeParams.labels"],
            ),
        ),
    )
