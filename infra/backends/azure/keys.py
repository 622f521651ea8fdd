"""The workspace's own key for the disks of its CVMs: in hardware, released only to a CVM that Azure attested.

Two principals use it. The disk encryption set wraps and unwraps disk keys with it. Microsoft's "Confidential VM
Orchestrator" requests its release, under the key's release policy, to prepare a disk for its machine. That service
principal must first be created in the tenant ("Quickstart: Create a confidential VM in the Azure portal",
prerequisites); its object id differs between tenants. No person and no CVM has any right on the key.
"""

import base64
import json
import uuid
from dataclasses import dataclass
from typing import Self

import pulumi
from pulumi_azure_native import authorization, compute, keyvault, resources

from cloister.errors import InputError
from infra.configuration.workspace import AzureConfiguration

# Azure built-in roles (security): the same ids in every tenant.
ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User: read, wrap, unwrap
RELEASE_USER = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"  # Key Vault Crypto Service Release User: release
READER = "21090545-7ca7-4776-b22c-e363652d74d2"  # Key Vault Reader: read

ORCHESTRATOR = "bf7b6499-ff71-4aa2-97a4-f372087be7f0"
"""The application id of the Confidential VM Orchestrator."""

_BITS = 3072
# The minimum in Azure. The disks that the key encrypts are deleted by the same `destroy`.
_RETENTION_DAYS = 7
_NAMESPACE = uuid.UUID("6e0a2c9e-6f0c-5c7e-9d55-3c1f8a0f5b11")

# Region -> short name in the address of Azure Attestation's shared provider,
# https://shared<short>.<short>.attest.azure.net, for the regions with confidential VMs.
_ATTESTATION_REGIONS = {
    "australiaeast": "eau",
    "canadacentral": "cac",
    "canadaeast": "cae",
    "centralindia": "cin",
    "centralus": "cus",
    "eastasia": "easia",
    "eastus": "eus",
    "eastus2": "eus2",
    "francecentral": "frc",
    "germanywestcentral": "dewc",
    "italynorth": "itn",
    "japaneast": "jpe",
    "koreacentral": "krc",
    "northeurope": "neu",
    "norwayeast": "noe",
    "polandcentral": "plc",
    "southafricanorth": "san",
    "southcentralus": "scus",
    "southeastasia": "sasia",
    "spaincentral": "esc",
    "swedencentral": "sec",
    "switzerlandnorth": "swn",
    "uaenorth": "uaen",
    "uksouth": "uks",
    "ukwest": "ukw",
    "westeurope": "weu",
    "westus": "wus",
    "westus2": "wus2",
    "westus3": "wus3",
}
_ATTESTATION_TYPES = ("sevsnpvm", "tdxvm")


@dataclass(frozen=True)
class KeyRelease:
    """``orchestrator`` is the object id of the service principal that requests the release of the key.

    ``policy`` is the key's release policy, base64url.
    """

    orchestrator: str
    policy: str

    @classmethod
    def of(cls, place: AzureConfiguration) -> Self:
        """Raises InputError if the configuration lacks a setting that the workspace's key needs."""
        if not place.orchestrator:
            raise InputError(
                "workspace.azure.orchestrator is missing. With a signed image the workspace's key encrypts the disks, "
                "and Microsoft's Confidential VM Orchestrator must be allowed to use it.",
                hint=f"Set it to the object id of your tenant's service principal for the application {ORCHESTRATOR}.",
            )
        return cls(place.orchestrator, release_policy(place.location))


class DiskKey:
    """``encryption_set`` encrypts the disks; what uses it must depend on ``grants``, the roles on the key."""

    def __init__(
        self,
        release: KeyRelease,
        place: AzureConfiguration,
        group: resources.ResourceGroup,
        options: pulumi.ResourceOptions,
    ) -> None:
        # Retained in any case: a disk is lost without its key, and purge protection keeps the vault anyway.
        retained = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(protect=True, retain_on_delete=True))
        # Generated names, because a deleted vault's name stays taken until it is purged.
        vault = keyvault.Vault(
            "keys",
            resource_group_name=group.name,
            location=group.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=place.tenant,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.PREMIUM),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=_RETENTION_DAYS,
                enable_purge_protection=True,
                enabled_for_deployment=False,
                enabled_for_disk_encryption=False,
                enabled_for_template_deployment=False,
                public_network_access="Disabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action=keyvault.NetworkRuleAction.DENY,
                    # Azure Disk Storage is one of the trusted services that this lets in.
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                ),
            ),
            opts=retained,
        )
        key = keyvault.Key(
            "disks",
            resource_group_name=group.name,
            vault_name=vault.name,
            properties=keyvault.KeyPropertiesArgs(
                kty=keyvault.JsonWebKeyType.RS_A_HSM,
                key_size=_BITS,
                key_ops=[keyvault.JsonWebKeyOperation.WRAP_KEY, keyvault.JsonWebKeyOperation.UNWRAP_KEY],
                attributes=keyvault.KeyAttributesArgs(enabled=True, exportable=True),
                release_policy=keyvault.KeyReleasePolicyArgs(
                    content_type="application/json; charset=utf-8", data=release.policy
                ),
            ),
            # Azure creates keys but does not update them (Key Vault REST API, Keys, CreateIfNotExist): a new label
            # would be a permanent difference. The vault has the label.
            opts=pulumi.ResourceOptions.merge(retained, pulumi.ResourceOptions(ignore_changes=["tags"])),
        )
        self.encryption_set = compute.DiskEncryptionSet(
            "disks",
            resource_group_name=group.name,
            location=group.location,
            encryption_type=compute.DiskEncryptionSetType.CONFIDENTIAL_VM_ENCRYPTED_WITH_CUSTOMER_KEY,
            identity=compute.EncryptionSetIdentityArgs(type=compute.DiskEncryptionSetIdentityType.SYSTEM_ASSIGNED),
            active_key=compute.KeyForDiskEncryptionSetArgs(
                key_url=key.key_uri_with_version, source_vault=compute.SourceVaultArgs(id=vault.id)
            ),
            # "Rotate customer-managed keys for Azure confidential virtual machines": only while the VMs are off.
            rotation_to_latest_key_version_enabled=False,
            opts=options,
        )
        set_principal = self.encryption_set.identity.apply(_principal)
        orchestrator = pulumi.Output.from_input(release.orchestrator)
        self.grants: list[pulumi.Resource] = [
            _grant("disks-wrap", place, key, set_principal, ENCRYPTION_USER, options),
            _grant("orchestrator-release", place, key, orchestrator, RELEASE_USER, options),
            _grant("orchestrator-read", place, key, orchestrator, READER, options),
        ]


def release_policy(location: str) -> str:
    """The key's release policy, base64url: release to what the region's attestation provider calls a compliant CVM.

    Both SEV-SNP and TDX are accepted, so that one key serves all CVMs. Like the policy of `az keyvault key create
    --default-cvm-policy`, plus the attestation types. Raises InputError for a region whose provider is unknown.
    """
    short = _ATTESTATION_REGIONS.get(location)
    if short is None:
        raise InputError(
            f"workspace.azure.location: {location!r} has no known attestation provider, which the disks' key needs.",
            hint=f"Use one of these regions: {', '.join(_ATTESTATION_REGIONS)}.",
        )
    kinds = [{"claim": "x-ms-attestation-type", "equals": kind} for kind in _ATTESTATION_TYPES]
    compliant = {"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"}
    authority = f"https://shared{short}.{short}.attest.azure.net/"
    policy = {"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": [compliant, {"anyOf": kinds}]}]}
    return base64.urlsafe_b64encode(json.dumps(policy, separators=(",", ":")).encode()).decode().rstrip("=")


def _principal(identity: compute.outputs.EncryptionSetIdentityResponse | None) -> str:
    if identity is None or not identity.principal_id:
        raise pulumi.RunError("Azure returned no identity for the disk encryption set.")
    return identity.principal_id


def _grant(
    name: str,
    place: AzureConfiguration,
    key: keyvault.Key,
    principal: pulumi.Output[str],
    role: str,
    options: pulumi.ResourceOptions,
) -> authorization.RoleAssignment:
    """``role`` on this key only.

    The assignment's name must be a UUID, unique in the tenant ("Understand Azure role assignments", name). It is
    derived from what is granted: stable across `up`s, and different for another vault.
    """
    return authorization.RoleAssignment(
        name,
        scope=key.id,
        role_definition_id=(
            f"/subscriptions/{place.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        ),
        principal_id=principal,
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        role_assignment_name=pulumi.Output.all(key.id, principal).apply(
            lambda parts: str(uuid.uuid5(_NAMESPACE, "\n".join((str(parts[0]), str(parts[1]), role))))
        ),
        opts=options,
    )
