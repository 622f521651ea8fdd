"""The types of resources that a workspace consists of, by backend, and where each of them is labelled.

What is not here is refused: nobody has thought about who reaches it, what it costs and what it gives away.
"""

from collections.abc import Mapping

from infra.provider.names import AUTHORITY, CVM

REFERENCE = "pulumi:pulumi:StackReference"
STACK = ("pulumi:pulumi:Stack", REFERENCE)
"""What every program has."""

UNLABELLED = ""
"""The cloud, or the provider, has no labels on it; the tests compare with the installed SDKs."""

KINDS: Mapping[str, Mapping[str, str]] = {
    "local": {
        "cloister:local:Workspace": UNLABELLED,
        AUTHORITY: UNLABELLED,
        CVM: UNLABELLED,
    },
    "azure": {
        "cloister:azure:Workspace": UNLABELLED,
        "pulumi:providers:azure-native": UNLABELLED,
        "azure-native:authorization:RoleAssignment": UNLABELLED,
        "azure-native:compute:DiskEncryptionSet": "tags",
        "azure-native:compute:VirtualMachine": "tags",
        "azure-native:consumption:Budget": UNLABELLED,
        "azure-native:keyvault:Key": "tags",
        "azure-native:keyvault:Vault": "tags",
        "azure-native:managedidentity:UserAssignedIdentity": "tags",
        "azure-native:network:NetworkInterface": "tags",
        "azure-native:network:NetworkSecurityGroup": "tags",
        "azure-native:network:PublicIPAddress": "tags",
        "azure-native:network:RouteTable": "tags",
        "azure-native:network:Subnet": UNLABELLED,
        "azure-native:network:VirtualNetwork": "tags",
        "azure-native:resources:ResourceGroup": "tags",
    },
    "gcp": {
        "cloister:gcp:Workspace": UNLABELLED,
        "pulumi:providers:gcp": UNLABELLED,
        "gcp:billing/budget:Budget": UNLABELLED,
        "gcp:compute/address:Address": "labels",
        "gcp:compute/firewall:Firewall": UNLABELLED,
        "gcp:compute/instance:Instance": "labels",
        "gcp:compute/network:Network": UNLABELLED,
        "gcp:compute/route:Route": UNLABELLED,
        "gcp:compute/subnetwork:Subnetwork": UNLABELLED,
        "gcp:kms/cryptoKey:CryptoKey": "labels",
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": UNLABELLED,
        "gcp:kms/keyRing:KeyRing": UNLABELLED,
        "gcp:serviceaccount/account:Account": UNLABELLED,
    },
}


def labelled(kind: str) -> str:
    """The input that holds the labels of a resource of type ``kind``; "" when it has none or is not known."""
    return next((kinds[kind] for kinds in KINDS.values() if kind in kinds), UNLABELLED)
