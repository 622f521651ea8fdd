"""The encryption of a CVM's disk and guest state, which depends on whether the image is signed.

``DiskWithVMGuestState`` requires secure boot and the vTPM, ``VMGuestStateOnly`` only the vTPM (Azure REST API, Virtual
Machines; azurerm's ``azurerm_linux_virtual_machine``, security_encryption_type). Without confidential encryption of the
OS disk, Azure supports no customer key: the platform's key encrypts the guest state ("Azure confidential virtual
machines FAQ").
"""

from dataclasses import dataclass
from typing import Self

from pulumi_azure_native.compute import SecurityEncryptionTypes

from infra.configuration.image import Image


@dataclass(frozen=True)
class DiskEncryption:
    """``customer_key`` says that the workspace's key, and not the platform's, encrypts disk and guest state."""

    secure_boot: bool
    type: SecurityEncryptionTypes
    customer_key: bool

    @classmethod
    def for_image(cls, image: Image) -> Self:
        """The strongest encryption that Azure supports for the image.

        An unsigned image does not weaken the guarantees to the parties: its root file system is public, dm-verity
        protects it under a measured root hash, and secrets never leave memory.
        """
        if image.signed:
            return cls(True, SecurityEncryptionTypes.DISK_WITH_VM_GUEST_STATE, True)
        return cls(False, SecurityEncryptionTypes.VM_GUEST_STATE_ONLY, False)
