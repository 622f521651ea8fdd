"""The workspace's own key for the disks of its CVMs: in hardware, given out only to what Azure attested as a CVM.

Two who are not people use it. The disk encryption set wraps and unwraps with it. Microsoft's "Confidential VM
Orchestrator" has it released, under the key's own policy, to prepare a disk for its machine; that service principal
exists in a tenant only after somebody has made it there ("Quickstart: Create a confidential VM in the Azure portal",
prerequisites), and its object id is the tenant's own. No person and no CVM has any right on the key.
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

# Azure built-in roles (security): their ids are the same in every tenant.
ENCRYPTION_USER = "e147488a-f6f5-4113-8e2d-b22465e65bf6"  # Key Vault Crypto Service Encryption User: read, wrap, unwrap
RELEASE_USER = "08bbd89e-9f13-488c-ac41-acfcb10c90ab"  # Key Vault Crypto Service Release User: release
READER = "21090545-7ca7-4776-b22c-e363652d74d2"  # Key Vault Reader: read

ORCHESTRATOR = "bf7b6499-ff71-4aa2-97a4-f372087be7f0"
"""The application id of the Confidential VM Orchestrator."""

_BITS = 3072
# Azure cannot be told to purge earlier; what the key encrypts is a disk that the same `destroy` deletes.
_DAYS_KEPT_AFTER_DELETION = 7
_NAMESPACE = uuid.UUID("6e0a2c9e-6f0c-5c7e-9d55-3c1f8a0f5b11")

# Azure Attestation's shared provider of a region is https://shared<short>.<short>.attest.azure.net, in the regions that
# have confidential VMs.
_ATTESTS = {
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
class Release:
    """``orchestrator`` is the object id of the service principal that has the key released, ``policy`` is to whom."""

    orchestrator: str
    policy: str

    @classmethod
    def of(cls, place: AzureConfiguration) -> Self:
        """Raises InputError when the configuration lacks what a key of the workspace's own needs."""
        if not place.orchestrator:
            raise InputError(
                "workspace.azure.orchestrator is missing: with a signed image the workspace's own key encrypts the "
                "disks, and Microsoft's Confidential VM Orchestrator must be let use it.",
                hint=f"It is the object id of the tenant's service principal of the application {ORCHESTRATOR}.",
            )
        return cls(place.orchestrator, release_policy(place.location))


class Keys:
    """``encryption_set`` is what a disk names; ``grants`` are the roles without which naming it fails."""

    def __init__(
        self,
        release: Release,
        place: AzureConfiguration,
        group: resources.ResourceGroup,
        options: pulumi.ResourceOptions,
    ) -> None:
        # Kept whatever happens: a disk without its key is lost, and the vault's protection would not let it go anyway.
        kept = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(protect=True, retain_on_delete=True))
        # Azure's own names for both: a deleted vault's name stays taken until it is purged.
        vault = keyvault.Vault(
            "keys",
            resource_group_name=group.name,
            location=group.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=place.tenant,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.PREMIUM),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=_DAYS_KEPT_AFTER_DELETION,
                enable_purge_protection=True,
                enabled_for_deployment=False,
                enabled_for_disk_encryption=False,
                enabled_for_template_deployment=False,
                public_network_access="Disabled",
                network_acls=keyvault.NetworkRuleSetArgs(
                    default_action=keyvault.NetworkRuleAction.DENY,
                    # Azure Disk Storage is among the services that come in by this.
                    bypass=keyvault.NetworkRuleBypassOptions.AZURE_SERVICES,
                ),
            ),
            opts=kept,
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
            # Azure makes a key and updates none (Key Vault REST API, Keys, CreateIfNotExist): another label would be a
            # difference for ever. The vault has it.
            opts=pulumi.ResourceOptions.merge(kept, pulumi.ResourceOptions(ignore_changes=["tags"])),
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
            # "Rotate customer-managed keys for Azure confidential virtual machines": only while they are off.
            rotation_to_latest_key_version_enabled=False,
            opts=options,
        )
        wraps = self.encryption_set.identity.apply(_principal)
        orchestrator = pulumi.Output.from_input(release.orchestrator)
        self.grants: list[pulumi.Resource] = [
            _grant("disks-wrap", place, key, wraps, ENCRYPTION_USER, options),
            _grant("orchestrator-release", place, key, orchestrator, RELEASE_USER, options),
            _grant("orchestrator-read", place, key, orchestrator, READER, options),
        ]


def release_policy(location: str) -> str:
    """To whom the key may be given: a machine that the region's own attestation provider calls a compliant CVM, on
    either kind of processor, so that another CVM does not ask for another key. As `az keyvault key create
    --default-cvm-policy` writes it, with the kinds besides; base64url.

    Raises InputError for a region whose provider is not known.
    """
    short = _ATTESTS.get(location)
    if short is None:
        raise InputError(
            f"workspace.azure.location: {location!r} is no region whose attestation provider is known, as the disks' "
            f"key needs it; these are {', '.join(_ATTESTS)}."
        )
    kinds = [{"claim": "x-ms-attestation-type", "equals": kind} for kind in _ATTESTATION_TYPES]
    compliant = {"claim": "x-ms-compliance-status", "equals": "azure-compliant-cvm"}
    authority = f"https://shared{short}.{short}.attest.azure.net/"
    policy = {"version": "1.0.0", "anyOf": [{"authority": authority, "allOf": [compliant, {"anyOf": kinds}]}]}
    return base64.urlsafe_b64encode(json.dumps(policy, separators=(",", ":")).encode()).decode().rstrip("=")


def _principal(identity: compute.outputs.EncryptionSetIdentityResponse | None) -> str:
    if identity is None or not identity.principal_id:
        raise pulumi.RunError("Azure has given the disk encryption set no identity.")
    return identity.principal_id


def _grant(
    name: str,
    place: AzureConfiguration,
    key: keyvault.Key,
    principal: pulumi.Output[str],
    role: str,
    options: pulumi.ResourceOptions,
) -> authorization.RoleAssignment:
    """``role`` on this one key. Its name must be a UUID that the whole tenant has once ("Understand Azure role
    assignments", name): it follows from what is granted, so that a second `up` finds it and another vault has another.
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
