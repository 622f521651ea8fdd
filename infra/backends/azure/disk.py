"""How a CVM's disk and the state of its firmware are encrypted: that follows from whether the image is signed.

``DiskWithVMGuestState`` is refused unless secure boot and the vTPM are on, ``VMGuestStateOnly`` asks for the vTPM alone
(Azure REST API, Virtual Machines; azurerm's ``azurerm_linux_virtual_machine``, security_encryption_type). Without
confidential encryption of the OS disk a customer's key cannot be used at all: the guest's state then has the platform's
("Azure confidential virtual machines FAQ").
"""

from dataclasses import dataclass

from pulumi_azure_native.compute import SecurityEncryptionTypes

from infra.configuration.image import Image


@dataclass(frozen=True)
class Form:
    """``customer_key`` says that the workspace's own key encrypts disk and guest state, not the platform's."""

    secure_boot: bool
    encryption: SecurityEncryptionTypes
    customer_key: bool


def form_of(image: Image) -> Form:
    """The strictest form that Azure permits for the image.

    An image that is not signed loses nothing of what the parties are promised: its root is public, its integrity is
    dm-verity's under a measured root hash, and what is secret never leaves the memory.
    """
    if image.signed:
        return Form(True, SecurityEncryptionTypes.DISK_WITH_VM_GUEST_STATE, True)
    return Form(False, SecurityEncryptionTypes.VM_GUEST_STATE_ONLY, False)
