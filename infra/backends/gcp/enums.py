"""The values of Google Cloud's APIs that the backend uses; pulumi-gcp has no enumerations."""

from enum import StrEnum


class ConfidentialInstanceType(StrEnum):
    """Compute Engine API, instances, confidentialInstanceConfig.confidentialInstanceType."""

    SEV_SNP = "SEV_SNP"
    TDX = "TDX"


class CpuPlatform(StrEnum):
    """Compute Engine, "Minimum CPU platform"."""

    AMD_MILAN = "AMD Milan"


class HostMaintenance(StrEnum):
    """Compute Engine API, instances, scheduling.onHostMaintenance."""

    TERMINATE = "TERMINATE"


class ProvisioningModel(StrEnum):
    """Compute Engine API, instances, scheduling.provisioningModel."""

    STANDARD = "STANDARD"


class Status(StrEnum):
    """Compute Engine API, instances, status; a value of ``desired_status``."""

    RUNNING = "RUNNING"


class KeyRevocation(StrEnum):
    """Compute Engine API, instances, keyRevocationActionType."""

    STOP = "STOP"


class DiskType(StrEnum):
    """Compute Engine, persistent disks: a type that both n2d and c3 can boot from."""

    BALANCED = "pd-balanced"


class DiskMode(StrEnum):
    """Compute Engine API, instances, disks.mode."""

    READ_WRITE = "READ_WRITE"


class NicType(StrEnum):
    """Compute Engine API, instances, networkInterfaces.nicType."""

    GVNIC = "GVNIC"


class StackType(StrEnum):
    """Compute Engine API, subnetworks and networkInterfaces, stackType."""

    IPV4_ONLY = "IPV4_ONLY"


class Direction(StrEnum):
    """Compute Engine API, firewalls, direction."""

    INGRESS = "INGRESS"
    EGRESS = "EGRESS"


class Protocol(StrEnum):
    """Compute Engine API, firewalls, allowed[].IPProtocol and denied[].IPProtocol."""

    ALL = "all"
    TCP = "tcp"


class LogMetadata(StrEnum):
    """Compute Engine API, firewalls, logConfig.metadata."""

    INCLUDE = "INCLUDE_ALL_METADATA"
    EXCLUDE = "EXCLUDE_ALL_METADATA"


class RoutingMode(StrEnum):
    """Compute Engine API, networks, routingConfig.routingMode."""

    REGIONAL = "REGIONAL"


class Gateway(StrEnum):
    """Compute Engine API, routes, nextHopGateway: the only value."""

    INTERNET = "default-internet-gateway"


class AddressType(StrEnum):
    """Compute Engine API, addresses, addressType."""

    EXTERNAL = "EXTERNAL"


class NetworkTier(StrEnum):
    """Compute Engine API, addresses and accessConfigs, networkTier."""

    PREMIUM = "PREMIUM"


class KeyPurpose(StrEnum):
    """Cloud KMS API, cryptoKeys, purpose."""

    ENCRYPT_DECRYPT = "ENCRYPT_DECRYPT"


class KeyAlgorithm(StrEnum):
    """Cloud KMS API, CryptoKeyVersionAlgorithm."""

    SYMMETRIC = "GOOGLE_SYMMETRIC_ENCRYPTION"


class ProtectionLevel(StrEnum):
    """Cloud KMS API, ProtectionLevel."""

    HSM = "HSM"


class Role(StrEnum):
    """IAM, predefined roles."""

    KEY_USER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


class DeletionPolicy(StrEnum):
    """pulumi-gcp, deletion_policy: the provider refuses to delete."""

    PREVENT = "PREVENT"


class BudgetPeriod(StrEnum):
    """Cloud Billing Budget API, CalendarPeriod."""

    MONTH = "MONTH"


class SpendBasis(StrEnum):
    """Cloud Billing Budget API, ThresholdRule.Basis."""

    CURRENT = "CURRENT_SPEND"


class Scope(StrEnum):
    """OAuth 2.0 scopes of a service account's tokens in an instance."""

    EMAIL = "https://www.googleapis.com/auth/userinfo.email"
