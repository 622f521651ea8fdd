"""Write the disk: a GPT with EFI system partition, root file system and hash tree; equal on every platform."""

from uuid import UUID

from image.formats import fat, gpt

# Discoverable Partitions Specification (UAPI Group Specification 2), x86-64.
_ESP = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_ROOT = UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709")
_ROOT_VERITY = UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5")

# Random but fixed: PCR 5 measures the table, and equal inputs must give equal disks.
_DISK_IDENTIFIER = UUID("5b0c1a9e-6b0f-4d5c-9a3e-0d1b7f64c2a1")
_ESP_IDENTIFIER = UUID("0f6ad4b5-8f5e-4f0b-8a53-3f2c9d7e1b60")
_ESP_SERIAL = 0xC1015732

# What firmware starts without a boot entry: UEFI Specification 2.10, section 3.5.1.1.
BOOT_FILE = "EFI/BOOT/BOOTX64.EFI"


def build(uki: bytes, root: bytes, hash_tree: bytes, root_hash: bytes) -> bytes:
    """The raw disk. The two halves of the root hash are the identifiers of root and hash tree, as specified."""
    return gpt.disk(
        [
            gpt.Partition("esp", _ESP, _ESP_IDENTIFIER, fat.volume({BOOT_FILE: uki}, serial=_ESP_SERIAL)),
            gpt.Partition("root", _ROOT, UUID(bytes=root_hash[:16]), root),
            gpt.Partition("verity", _ROOT_VERITY, UUID(bytes=root_hash[16:]), hash_tree),
        ],
        _DISK_IDENTIFIER,
    )
