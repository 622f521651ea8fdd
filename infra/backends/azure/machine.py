"""The confidential VMs of a workspace in Azure."""

import base64
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import compute, managedidentity, resources

from cloister.endpoint import PORT
from cloister.protocol.bootconfig import BootConfiguration
from infra.backends import rolling
from infra.backends.azure.disk import DiskEncryption
from infra.backends.azure.keys import DiskKey
from infra.backends.azure.network import Network
from infra.configuration.scratch import GIBIBYTE
from infra.configuration.workspace import CvmConfiguration

_REPLACED_ON_CHANGES = ("hardware_profile", "security_profile", "storage_profile", "user_data", "zones")
"""Inputs that Azure cannot change on an existing VM, or changes without the guest measuring them."""


@dataclass(frozen=True)
class Machines:
    """Declares the CVMs of a workspace with what they have in common."""

    group: resources.ResourceGroup

    network: Network

    identity: managedidentity.UserAssignedIdentity
    """It has no role."""

    key: DiskKey | None
    """The workspace's own key for the disks; None if the platform's key encrypts them."""

    encryption: DiskEncryption

    image: pulumi.Output[str]
    """The resource id of the gallery's image version."""

    digest: str
    """The digest of the image manifest (hex)."""

    options: pulumi.ResourceOptions

    def declare(
        self, cvm: CvmConfiguration, boot: BootConfiguration, sequence: rolling.RollingReplacement
    ) -> pulumi.Output[str]:
        """Declare the CVM. Returns its endpoint (address:port)."""
        interface, address = self.network.interface(cvm)
        endpoint = address.apply(lambda found: f"{found}:{PORT}")
        digest = boot.digest().hex()
        sequenced = sequence.options(
            {
                "image": self.digest,
                "bootConfiguration": digest,
                "size": cvm.size,
                "tee": cvm.tee,
                "zone": cvm.zone,
            }
        )
        # In addition to the trigger, which a refresh that runs the program (`pulumi up --run-program`) loses.
        replaced = pulumi.ResourceOptions(replace_on_changes=list(_REPLACED_ON_CHANGES))
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions.merge(self.options, sequenced), replaced)
        if self.key is not None:
            # A disk cannot be encrypted before the roles on the key are granted.
            options = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=self.key.grants))
        machine = compute.VirtualMachine(
            cvm.name,
            resource_group_name=self.group.name,
            location=self.group.location,
            # Not generated: a Linux VM's name may have 64 characters, which a generated one could exceed.
            vm_name=cvm.name,
            zones=[cvm.zone] if cvm.zone else None,
            hardware_profile=compute.HardwareProfileArgs(vm_size=cvm.size),
            identity=compute.VirtualMachineIdentityArgs(
                type=compute.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[self.identity.id]
            ),
            security_profile=self._security(),
            storage_profile=self._storage(cvm.scratch),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    # The interface outlives the machine, so that its replacement keeps the address.
                    compute.NetworkInterfaceReferenceArgs(
                        id=interface.id, primary=True, delete_option=compute.DeleteOptions.DETACH
                    )
                ]
            ),
            diagnostics_profile=compute.DiagnosticsProfileArgs(
                boot_diagnostics=compute.BootDiagnosticsArgs(enabled=False)
            ),
            user_data=base64.b64encode(boot.encode()).decode(),
            tags={rolling.ENDPOINT: endpoint, rolling.IMAGE: self.digest, rolling.BOOT: digest},
            opts=options,
        )
        sequence.add(machine)
        return endpoint

    def _security(self) -> compute.SecurityProfileArgs:
        return compute.SecurityProfileArgs(
            security_type=compute.SecurityTypes.CONFIDENTIAL_VM,
            uefi_settings=compute.UefiSettingsArgs(secure_boot_enabled=self.encryption.secure_boot, v_tpm_enabled=True),
            # No protection against the cloud operator, and it needs a feature enabled in the subscription.
            encryption_at_host=False,
            # The Metadata Security Protocol admits only callers that Microsoft's proxy in the guest vouches for. The
            # image has no such proxy: with the protocol, it could not read its boot configuration.
            proxy_agent_settings=compute.ProxyAgentSettingsArgs(enabled=False),
        )

    def _storage(self, scratch: int) -> compute.StorageProfileArgs:
        """The image's disk and, unless ``scratch`` (bytes) is 0, an empty one.

        No disk controller is set: Azure picks one that size and image support (SCSI for v5 sizes), and the guest has
        the drivers for both.
        """
        encryption_set = None
        if self.key is not None:
            encryption_set = compute.DiskEncryptionSetParametersArgs(id=self.key.encryption_set.id)
        return compute.StorageProfileArgs(
            image_reference=compute.ImageReferenceArgs(id=self.image),
            data_disks=[_scratch_disk(scratch)] if scratch else None,
            os_disk=compute.OSDiskArgs(
                create_option=compute.DiskCreateOptionTypes.FROM_IMAGE,
                os_type=compute.OperatingSystemTypes.LINUX,
                # The guest does not write to it.
                caching=compute.CachingTypes.READ_ONLY,
                delete_option=compute.DiskDeleteOptionTypes.DELETE,
                managed_disk=compute.ManagedDiskParametersArgs(
                    storage_account_type=compute.StorageAccountTypes.STANDARD_SS_D_LRS,
                    security_profile=compute.VMDiskSecurityProfileArgs(
                        security_encryption_type=self.encryption.type, disk_encryption_set=encryption_set
                    ),
                ),
            ),
        )


def _scratch_disk(size: int) -> compute.DataDiskArgs:
    """An empty disk, deleted with the machine. The guest encrypts it under a key that exists in its memory only."""
    return compute.DataDiskArgs(
        lun=0,
        create_option=compute.DiskCreateOptionTypes.EMPTY,
        disk_size_gb=size // GIBIBYTE,
        caching=compute.CachingTypes.NONE,
        delete_option=compute.DiskDeleteOptionTypes.DELETE,
        managed_disk=compute.ManagedDiskParametersArgs(storage_account_type=compute.StorageAccountTypes.PREMIUM_LRS),
    )
