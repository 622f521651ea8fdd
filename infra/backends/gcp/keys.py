"""The key that encrypts the disks of a workspace's CVMs."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.backends.gcp import names
from infra.backends.gcp.enums import DeletionPolicy, KeyAlgorithm, KeyPurpose, ProtectionLevel, Role
from infra.configuration.workspace import WorkspaceConfiguration

_ROTATION = f"{90 * 24 * 3600}s"


@dataclass(frozen=True)
class DiskKey:
    """``identifier`` is the key's resource name. What uses the key must depend on ``access``."""

    identifier: pulumi.Output[str]
    access: gcp.kms.CryptoKeyIAMMember


def declare(
    configuration: WorkspaceConfiguration,
    region: str,
    project_number: pulumi.Output[str],
    options: pulumi.ResourceOptions,
) -> DiskKey:
    """A key ring and a key in the region's HSM that only Compute Engine may use.

    The disks hold the public image only. The key is a switch: disabling it stops the CVMs
    (``keyRevocationActionType``). Google Cloud cannot delete key rings and keys: they are protected, retained when the
    stack is destroyed, and have generated names, so that a new stack can create new ones.
    """
    retained = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(protect=True, retain_on_delete=True))
    prefix = names.prefix(configuration.name)
    ring = gcp.kms.KeyRing(prefix, location=region, opts=retained)
    key = gcp.kms.CryptoKey(
        prefix,
        key_ring=ring.id,
        purpose=KeyPurpose.ENCRYPT_DECRYPT,
        rotation_period=_ROTATION,
        version_template=gcp.kms.CryptoKeyVersionTemplateArgs(
            algorithm=KeyAlgorithm.SYMMETRIC, protection_level=ProtectionLevel.HSM
        ),
        deletion_policy=DeletionPolicy.PREVENT,
        opts=retained,
    )
    access = gcp.kms.CryptoKeyIAMMember(
        prefix,
        crypto_key_id=key.id,
        role=Role.KEY_USER,
        # The Compute Engine service agent (Compute Engine, "Protect resources by using Cloud KMS keys").
        member=pulumi.Output.format(
            "serviceAccount:service-{0}@compute-system.iam.gserviceaccount.com", project_number
        ),
        opts=options,
    )
    return DiskKey(key.id, access)
