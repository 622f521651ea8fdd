"""The inputs that each type of resource may have in a workspace.

The clouds offer many more, and unreviewed ones can be dangerous: they attach another network interface to a VM, share a
subnet with a whole tenant, mirror an interface's packets or write memory to a disk.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_NETWORK = "azure-native:network"

# Paths without list indices; everything below a path is included.
_PATHS: Mapping[str, str] = {
    "azure-native:authorization:RoleAssignment": "principalId principalType roleAssignmentName roleDefinitionId scope",
    "azure-native:compute:DiskEncryptionSet": """
        activeKey.keyUrl activeKey.sourceVault.id encryptionType identity.type location resourceGroupName
        rotationToLatestKeyVersionEnabled tags""",
    "azure-native:compute:VirtualMachine": """
        diagnosticsProfile.bootDiagnostics.enabled hardwareProfile.vmSize identity.type identity.userAssignedIdentities
        location networkProfile.networkInterfaces osProfile resourceGroupName securityProfile.encryptionAtHost
        securityProfile.proxyAgentSettings.enabled securityProfile.securityType securityProfile.uefiSettings
        storageProfile.dataDisks.caching storageProfile.dataDisks.createOption storageProfile.dataDisks.deleteOption
        storageProfile.dataDisks.diskSizeGB storageProfile.dataDisks.lun
        storageProfile.dataDisks.managedDisk.storageAccountType storageProfile.imageReference
        storageProfile.osDisk.caching
        storageProfile.osDisk.createOption storageProfile.osDisk.deleteOption
        storageProfile.osDisk.managedDisk.securityProfile.diskEncryptionSet.id
        storageProfile.osDisk.managedDisk.securityProfile.securityEncryptionType
        storageProfile.osDisk.managedDisk.storageAccountType storageProfile.osDisk.osType tags userData vmName zones""",
    "azure-native:consumption:Budget": "amount category notifications scope timeGrain timePeriod.startDate",
    "azure-native:keyvault:Key": """
        properties.attributes.enabled properties.attributes.exportable properties.keyOps properties.keySize
        properties.kty properties.releasePolicy.contentType properties.releasePolicy.data resourceGroupName tags
        vaultName""",
    "azure-native:keyvault:Vault": """
        location properties.enablePurgeProtection properties.enableRbacAuthorization properties.enableSoftDelete
        properties.enabledForDeployment properties.enabledForDiskEncryption properties.enabledForTemplateDeployment
        properties.networkAcls.bypass properties.networkAcls.defaultAction properties.publicNetworkAccess
        properties.sku properties.softDeleteRetentionInDays properties.tenantId resourceGroupName tags""",
    "azure-native:managedidentity:UserAssignedIdentity": "location resourceGroupName tags",
    f"{_NETWORK}:NetworkInterface": """
        enableAcceleratedNetworking enableIPForwarding ipConfigurations.name ipConfigurations.privateIPAddress
        ipConfigurations.privateIPAllocationMethod ipConfigurations.publicIPAddress.id ipConfigurations.subnet.id
        ipConfigurations.subnet.privateEndpointNetworkPolicies ipConfigurations.subnet.privateLinkServiceNetworkPolicies
        location resourceGroupName tags""",
    f"{_NETWORK}:NetworkSecurityGroup": "location resourceGroupName securityRules tags",
    f"{_NETWORK}:PublicIPAddress": """
        location publicIPAddressVersion publicIPAllocationMethod resourceGroupName sku tags zones""",
    f"{_NETWORK}:RouteTable": "disableBgpRoutePropagation location resourceGroupName routes tags",
    f"{_NETWORK}:Subnet": """
        addressPrefix defaultOutboundAccess delegations natGateway networkSecurityGroup.id
        privateEndpointNetworkPolicies privateLinkServiceNetworkPolicies resourceGroupName routeTable.id
        serviceEndpoints virtualNetworkName""",
    f"{_NETWORK}:VirtualNetwork": """
        addressSpace.addressPrefixes enableDdosProtection enableVmProtection location resourceGroupName subnets tags
        virtualNetworkPeerings""",
    "azure-native:resources:ResourceGroup": "location tags",
    # No credentials: those come from the environment; as inputs they would be in the state.
    "pulumi:providers:azure-native": "disablePulumiPartnerId environment location subscriptionId tenantId",
    # The zone comes from the environment and has no effect: each machine declares its own.
    "pulumi:providers:gcp": "addPulumiAttributionLabel billingProject project region userProjectOverride zone",
    "gcp:billing/budget:Budget": "amount billingAccount budgetFilter displayName thresholdRules",
    "gcp:compute/disk:Disk": "diskEncryptionKey.kmsKeySelfLink labels name size type zone",
    "gcp:compute/address:Address": "addressType labels networkTier region",
    "gcp:compute/firewall:Firewall": """
        allows denies destinationRanges direction logConfig.metadata network priority sourceRanges
        targetServiceAccounts""",
    "gcp:compute/instance:Instance": """
        attachedDisks.mode attachedDisks.source bootDisk.autoDelete bootDisk.initializeParams.image
        bootDisk.initializeParams.labels
        bootDisk.initializeParams.size bootDisk.initializeParams.type bootDisk.kmsKeySelfLink canIpForward
        confidentialInstanceConfig.confidentialInstanceType desiredStatus guestAccelerators keyRevocationActionType
        labels machineType metadata metadataStartupScript minCpuPlatform name networkInterfaces.accessConfigs
        networkInterfaces.aliasIpRanges networkInterfaces.ipv6AccessConfigs networkInterfaces.networkIp
        networkInterfaces.nicType networkInterfaces.stackType networkInterfaces.subnetwork
        scheduling.automaticRestart scheduling.onHostMaintenance scheduling.provisioningModel scratchDisks
        serviceAccount.email serviceAccount.scopes shieldedInstanceConfig zone""",
    "gcp:compute/network:Network": "autoCreateSubnetworks deleteDefaultRoutesOnCreate routingMode",
    "gcp:compute/route:Route": "destRange network nextHopGateway",
    "gcp:compute/subnetwork:Subnetwork": "ipCidrRange network privateIpGoogleAccess region stackType",
    "gcp:kms/cryptoKey:CryptoKey": "deletionPolicy keyRing labels purpose rotationPeriod versionTemplate",
    "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": "cryptoKeyId member role",
    "gcp:kms/keyRing:KeyRing": "location",
    "gcp:serviceaccount/account:Account": "accountId description displayName",
}
# Checked by a separate rule in every resource.
_EVERYWHERE = ("project",)

INPUTS: Mapping[str, frozenset[str]] = {
    kind: frozenset((*paths.split(), *_EVERYWHERE)) for kind, paths in _PATHS.items()
}
"""Type of resource -> allowed paths of inputs."""


def not_allowed(kind: str, inputs: Mapping[str, Any]) -> list[str]:
    """The paths of ``inputs`` that are not allowed for the type ``kind``; none for a type that is not in INPUTS."""
    allowed = INPUTS.get(kind)
    return [] if allowed is None else sorted(set(_beyond(inputs, "", allowed)))


def _beyond(value: Any, path: str, allowed: frozenset[str]) -> Iterator[str]:
    if value is None or path in allowed:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _beyond(inner, f"{path}.{name}" if path else str(name), allowed)
    elif isinstance(value, list):
        for inner in value:
            yield from _beyond(inner, path, allowed)
    elif not any(one.startswith(f"{path}.") for one in allowed):
        # An unreadable parent of an allowed path is left to the rules that check its parts.
        yield path
