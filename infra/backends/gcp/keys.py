"""The key that encrypts the disks of a workspace's CVMs."""

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.backends.gcp import names
from infra.backends.gcp.vocabulary import DeletionPolicy, KeyAlgorithm, KeyPurpose, ProtectionLevel, Role
from infra.configuration.workspace import WorkspaceConfiguration

_ROTATION = f"{90 * 24 * 3600}s"


@dataclass(frozen=True)
class DiskKey:
    """``identifier`` is the key's resource name; who attaches it depends on ``access``."""

    identifier: pulumi.Output[str]
    access: gcp.kms.CryptoKeyIAMMember


def declare(
    configuration: WorkspaceConfiguration,
    region: str,
    project_number: pulumi.Output[str],
    options: pulumi.ResourceOptions,
) -> DiskKey:
    """A key ring and a key in the region's HSM that Compute Engine, and nobody else, may use.

    The disk holds the public image only. What the key gives is a switch: who disables it stops the CVMs
    (``keyRevocationActionType``). Key rings and keys cannot be deleted in Google Cloud: they are protected, kept when
    the stack is destroyed, and named so that the next one can have new ones.
    """
    kept = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(protect=True, retain_on_delete=True))
    prefix = names.prefix(configuration.name)
    ring = gcp.kms.KeyRing(prefix, location=region, opts=kept)
    key = gcp.kms.CryptoKey(
        prefix,
        key_ring=ring.id,
        purpose=KeyPurpose.ENCRYPT_DECRYPT,
        rotation_period=_ROTATION,
        version_template=gcp.kms.CryptoKeyVersionTemplateArgs(
            algorithm=KeyAlgorithm.SYMMETRIC, protection_level=ProtectionLevel.HSM
        ),
        deletion_policy=DeletionPolicy.PREVENT,
        opts=kept,
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
