"""The confidential VMs themselves."""

import base64
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import compute, managedidentity, resources

from cloister import endpoint as endpoints
from cloister.protocol.bootconfig import BootConfiguration
from infra.backends import rolling
from infra.backends.azure.disk import Form
from infra.backends.azure.keys import Keys
from infra.backends.azure.network import Network
from infra.configuration.workspace import CvmConfiguration

_ANOTHER_MACHINE = ("hardware_profile", "security_profile", "storage_profile", "user_data", "zones")
"""What Azure either cannot change on a VM that is there, or changes without the guest's measuring it."""


@dataclass(frozen=True)
class Machines:
    """What the CVMs of a workspace have in common.

    ``image`` is the resource id of a gallery's image version, ``digest`` that of the image's manifest (hex).
    """

    group: resources.ResourceGroup
    network: Network
    identity: managedidentity.UserAssignedIdentity
    keys: Keys | None
    form: Form
    image: pulumi.Output[str]
    digest: str
    options: pulumi.ResourceOptions

    def declare(self, cvm: CvmConfiguration, boot: BootConfiguration, turns: rolling.Rolling) -> pulumi.Output[str]:
        """The endpoint (address:port) of the CVM that is declared."""
        interface, address = self.network.interface(cvm)
        endpoint = address.apply(lambda found: f"{found}:{endpoints.PORT}")
        digest = boot.digest().hex()
        turn = turns.turn(
            {
                "image": self.digest,
                "bootConfiguration": digest,
                "size": cvm.size,
                "tee": cvm.tee,
                "zone": cvm.zone,
            }
        )
        # Said once more by property: a refresh that runs the program (`pulumi up --run-program`) forgets the trigger.
        anew = pulumi.ResourceOptions(replace_on_changes=list(_ANOTHER_MACHINE))
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions.merge(self.options, turn), anew)
        if self.keys is not None:
            # A disk cannot be encrypted before those who do it may use the key.
            options = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=self.keys.grants))
        machine = compute.VirtualMachine(
            cvm.name,
            resource_group_name=self.group.name,
            location=self.group.location,
            # Not Azure's choice of name: it would be longer than the 64 characters that a Linux VM may have.
            vm_name=cvm.name,
            zones=[cvm.zone] if cvm.zone else None,
            hardware_profile=compute.HardwareProfileArgs(vm_size=cvm.size),
            identity=compute.VirtualMachineIdentityArgs(
                type=compute.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=[self.identity.id]
            ),
            security_profile=self._security(),
            storage_profile=self._storage(),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    # The address outlives the machine, so that its successor is found where it was.
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
        turns.done(machine)
        return endpoint

    def _security(self) -> compute.SecurityProfileArgs:
        return compute.SecurityProfileArgs(
            security_type=compute.SecurityTypes.CONFIDENTIAL_VM,
            uefi_settings=compute.UefiSettingsArgs(secure_boot_enabled=self.form.secure_boot, v_tpm_enabled=True),
            # It hides the disk from nobody who matters here, and asks for a feature of the subscription's.
            encryption_at_host=False,
            # The Metadata Security Protocol lets only callers in that Microsoft's proxy in the guest vouches for. The
            # image has none: with the protocol enforced it would never learn its boot configuration.
            proxy_agent_settings=compute.ProxyAgentSettingsArgs(enabled=False),
        )

    def _storage(self) -> compute.StorageProfileArgs:
        """No disk controller is named: Azure takes the one that both the size and the image have, SCSI with the v5
        sizes, and the guest has the drivers of both.
        """
        set_of_keys = None
        if self.keys is not None:
            set_of_keys = compute.DiskEncryptionSetParametersArgs(id=self.keys.encryption_set.id)
        return compute.StorageProfileArgs(
            image_reference=compute.ImageReferenceArgs(id=self.image),
            os_disk=compute.OSDiskArgs(
                create_option=compute.DiskCreateOptionTypes.FROM_IMAGE,
                os_type=compute.OperatingSystemTypes.LINUX,
                # The guest never writes to it.
                caching=compute.CachingTypes.READ_ONLY,
                delete_option=compute.DiskDeleteOptionTypes.DELETE,
                managed_disk=compute.ManagedDiskParametersArgs(
                    storage_account_type=compute.StorageAccountTypes.STANDARD_SS_D_LRS,
                    security_profile=compute.VMDiskSecurityProfileArgs(
                        security_encryption_type=self.form.encryption, disk_encryption_set=set_of_keys
                    ),
                ),
            ),
        )
