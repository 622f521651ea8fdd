"""What Google Cloud is documented to refuse because of other resources, or because they are missing."""

import ipaddress
import re

from tests.infra.clouds.refusals import values
from tests.infra.clouds.relation import PendingResource, plain, relation, usable

INSTANCE = "gcp:compute/instance:Instance"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ROUTE = "gcp:compute/route:Route"
KEY_MEMBER = "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember"

IN_USE = ("gcp:compute/network:Network", SUBNETWORK, "gcp:compute/address:Address")
"""Types that cannot be deleted while another resource refers to them."""

_STOPPED = ("machineType", "minCpuPlatform", "serviceAccount", "shieldedInstanceConfig")
_ENCRYPTS = "roles/cloudkms.cryptoKeyEncrypterDecrypter"


@relation(
    INSTANCE,
    sentence="The address is outside of the subnetwork, reserved or taken.",
    source="Google Cloud VPC, Subnets: the first two and the last two addresses of a primary range cannot be used",
)
def gcp_address(pending: PendingResource) -> bool:
    for interface in pending.at("networkInterfaces[]"):
        address, subnetwork = interface.get("networkIp"), plain(str(interface.get("subnetwork")))
        found = pending.world.find(subnetwork or "")
        if address is None or found is None:
            continue
        taken = [
            one.get("networkIp")
            for resource in pending.others(INSTANCE).values()
            for one in values(resource.inputs, "networkInterfaces[]")
            if plain(str(one.get("subnetwork"))) == subnetwork
        ]
        if address in taken or not usable(address, [found.inputs["ipCidrRange"]], first=2, last=2):
            return True
    return False


@relation(
    INSTANCE,
    sentence="The subnetwork is in another region than the instance.",
    source="pulumi-gcp, InstanceNetworkInterfaceArgs.subnetwork: 'must exist in the same region this instance'",
)
def subnetwork_elsewhere(pending: PendingResource) -> bool:
    region = str(pending.inputs.get("zone", "")).rpartition("-")[0]
    named = [plain(str(one)) for one in pending.at("networkInterfaces[].subnetwork")]
    return any(one and region and f"/regions/{region}/" not in one for one in named)


@relation(
    INSTANCE,
    sentence="The key is in another location than the disk.",
    source="Cloud KMS, Cloud KMS locations and Compute Engine: a key is in the region of the disk, or global",
)
def key_elsewhere(pending: PendingResource) -> bool:
    region = str(pending.inputs.get("zone", "")).rpartition("-")[0]
    keys = [str(one) for one in pending.at("bootDisk.kmsKeySelfLink")]
    return any(f"/locations/{region}/" not in one and "/locations/global/" not in one for one in keys)


@relation(
    INSTANCE,
    sentence="Permission 'cloudkms.cryptoKeyVersions.useToEncrypt' denied: Compute Engine may not use the key.",
    source="Compute Engine, Protect resources by using Cloud KMS keys: the role of the service agent",
)
def key_without_role(pending: PendingResource) -> bool:
    for key in pending.at("bootDisk.kmsKeySelfLink"):
        members = [
            str(resource.inputs.get("member"))
            for resource in pending.world.of(KEY_MEMBER).values()
            if resource.inputs.get("cryptoKeyId") == key and resource.inputs.get("role") == _ENCRYPTS
        ]
        if not any(re.fullmatch(r"serviceAccount:service-\d+@compute-system\..+", one) for one in members):
            return True
    return False


@relation(
    INSTANCE,
    sentence="The image lacks the guest OS feature that the confidential instance needs.",
    source="Google Cloud, Confidential VM, Create custom confidential VM images: SEV_SNP_CAPABLE, TDX_CAPABLE",
)
def image_without_feature(pending: PendingResource) -> bool:
    images = [pending.world.find(plain(str(one)) or "") for one in pending.at("bootDisk.initializeParams.image")]
    kinds = pending.at("confidentialInstanceConfig.confidentialInstanceType")
    for image in images:
        features = [] if image is None else list(values(image.inputs, "guestOsFeatures[].type"))
        if image is not None and any(f"{kind}_CAPABLE" not in features for kind in kinds):
            return True
    return False


@relation(
    INSTANCE,
    sentence="The instance must be stopped for this change, but allowStoppingForUpdate is not true.",
    source="pulumi-gcp, Instance.allow_stopping_for_update: 'without setting this field, the update will fail'",
)
def changed_while_running(pending: PendingResource) -> bool:
    old = pending.old
    if old is None or pending.inputs.get("allowStoppingForUpdate") is True:
        return False
    return any(old.get(one) != pending.inputs.get(one) for one in _STOPPED)


@relation(
    ROUTE,
    sentence="A static route cannot be within the range of a subnetwork.",
    source="Google Cloud VPC, Routes: interactions between static routes and subnet routes",
)
def route_in_a_subnetwork(pending: PendingResource) -> bool:
    network = plain(str(pending.inputs.get("network")))
    target = ipaddress.ip_network(str(pending.inputs.get("destRange")))
    ranges = [
        ipaddress.ip_network(resource.inputs["ipCidrRange"])
        for resource in pending.world.of(SUBNETWORK).values()
        if plain(str(resource.inputs.get("network"))) == network
    ]
    return any(target.version == one.version and target.subnet_of(one) for one in ranges)
