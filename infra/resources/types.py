"""The resource types that a workspace consists of, by backend, and the input that holds the labels of each.

The guard refuses any other type: no one has considered who can reach it, what it costs and what it discloses.
"""

from collections.abc import Mapping

PROVIDER = "cloister-local"
"""The name of this project's own provider (``infra/provider/``)."""

LOCAL_AUTHORITY = f"{PROVIDER}:index:Authority"
LOCAL_CVM = f"{PROVIDER}:index:Cvm"

WORKSPACE = "cloister:index:Workspace"
"""The component: everything that belongs to a workspace is its child."""

REFERENCE = "pulumi:pulumi:StackReference"
STACK = ("pulumi:pulumi:Stack", REFERENCE)
"""Types that every program may declare."""

UNLABELLED = ""
"""The cloud or the provider supports no labels on this type; tests compare with the installed SDKs."""

TYPES: Mapping[str, Mapping[str, str]] = {
    "local": {
        WORKSPACE: UNLABELLED,
        LOCAL_AUTHORITY: UNLABELLED,
        LOCAL_CVM: UNLABELLED,
    },
    "azure": {
        WORKSPACE: UNLABELLED,
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
        WORKSPACE: UNLABELLED,
        "pulumi:providers:gcp": UNLABELLED,
        "gcp:billing/budget:Budget": UNLABELLED,
        "gcp:compute/address:Address": "labels",
        "gcp:compute/disk:Disk": "labels",
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


def label_input(type_: str) -> str:
    """The input that holds the labels of a resource of type ``type_``; "" when it has none or the type is unknown."""
    return next((types[type_] for types in TYPES.values() if type_ in types), UNLABELLED)
