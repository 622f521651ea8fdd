"""A registry in an Azure subscription: a storage account for disks, and a gallery of images for VMs."""

import base64
from collections.abc import Sequence

import pulumi
from pulumi_azure_native import Provider, compute, resources, storage

from image.publish.naming import VHD, blob_name
from infra.registry.configuration import AzureRegistryConfiguration, PublishedImage, RegistryConfiguration

CONTAINER = "images"
PUBLISHER = "cloister"
# Gallery Images, GalleryImageFeature: an image for confidential VMs without its own guest state, and both disk
# controllers, because sizes of version 6 have NVMe only.
FEATURES = {"SecurityType": "ConfidentialVmSupported", "DiskControllerTypes": "SCSI, NVMe"}


class RegistryComponent(pulumi.ComponentResource):
    """``destination`` is the container's address.

    ``images`` maps the digest of each image manifest to flavor, image version and regions.
    """

    destination: pulumi.Output[str]
    images: pulumi.Output[object]

    def __init__(self, configuration: RegistryConfiguration) -> None:
        super().__init__("cloister:azure:Registry", configuration.name)
        if configuration.azure is None:
            raise ValueError("registry.azure is missing.")
        self._place: AzureRegistryConfiguration = configuration.azure
        self._tags = configuration.tags()
        provider = Provider(
            "azure",
            subscription_id=self._place.subscription,
            tenant_id=self._place.tenant,
            disable_pulumi_partner_id=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._options = pulumi.ResourceOptions(parent=self, provider=provider)
        # Resources that hold images: replacing one (for another location) would delete every image.
        self._protected = pulumi.ResourceOptions.merge(self._options, pulumi.ResourceOptions(protect=True))
        self._group = resources.ResourceGroup(
            f"cloister-registry-{configuration.name}",
            location=self._place.location,
            tags=self._tags,
            opts=self._protected,
        )
        self._account = self._storage()
        self._gallery = compute.Gallery(
            "gallery",
            # "Create a gallery for storing and sharing resources": letters, digits, full stops and underscores.
            gallery_name=f"cloister_{configuration.name.replace('-', '_')}",
            resource_group_name=self._group.name,
            location=self._place.location,
            tags=self._tags,
            opts=self._protected,
        )
        self.destination = pulumi.Output.concat(self._account.primary_endpoints.blob, CONTAINER)
        self.images = self._versions(configuration)
        self.register_outputs({"destination": self.destination, "images": self.images})

    def _storage(self) -> storage.StorageAccount:
        """Without anonymous access and account keys: uploads need an identity of the tenant."""
        account = storage.StorageAccount(
            "images",
            resource_group_name=self._group.name,
            location=self._place.location,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
            access_tier=storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            is_local_user_enabled=False,
            encryption=storage.EncryptionArgs(
                key_source=storage.KeySource.MICROSOFT_STORAGE, require_infrastructure_encryption=True
            ),
            tags=self._tags,
            opts=self._protected,
        )
        storage.BlobContainer(
            CONTAINER,
            container_name=CONTAINER,
            account_name=account.name,
            resource_group_name=self._group.name,
            public_access=storage.PublicAccess.NONE,
            opts=self._protected,
        )
        return account

    def _versions(self, configuration: RegistryConfiguration) -> pulumi.Output[object]:
        flavors = sorted({image.flavor for image in configuration.images})
        definitions = {flavor: self._declare_definition(configuration.name, flavor) for flavor in flavors}
        return pulumi.Output.from_input(
            {
                image.digest: {
                    "flavor": image.flavor,
                    "id": self._declare_version(image, definitions[image.flavor]).id,
                    "regions": sorted(self._place.regions),
                }
                for image in configuration.images
            }
        )

    def _declare_definition(self, registry: str, flavor: str) -> compute.GalleryImage:
        return compute.GalleryImage(
            flavor,
            gallery_image_name=flavor,
            gallery_name=self._gallery.name,
            resource_group_name=self._group.name,
            location=self._place.location,
            architecture=compute.Architecture.X64,
            hyper_v_generation=compute.HyperVGeneration.V2,
            os_type=compute.OperatingSystemTypes.LINUX,
            # Specialized: Azure puts no host name, account or password into a machine.
            os_state=compute.OperatingSystemStateTypes.SPECIALIZED,
            identifier=compute.GalleryImageIdentifierArgs(publisher=PUBLISHER, offer=registry, sku=flavor),
            features=[compute.GalleryImageFeatureArgs(name=name, value=value) for name, value in FEATURES.items()],
            tags=self._tags,
            opts=self._options,
        )

    def _declare_version(self, image: PublishedImage, definition: compute.GalleryImage) -> compute.GalleryImageVersion:
        file = blob_name(image.flavor, image.digest, VHD)
        return compute.GalleryImageVersion(
            f"{image.flavor}-{image.digest[:16]}",
            gallery_image_version_name=version_name(image.digest),
            gallery_image_name=definition.name,
            gallery_name=self._gallery.name,
            resource_group_name=self._group.name,
            location=self._place.location,
            storage_profile=compute.GalleryImageVersionStorageProfileArgs(
                os_disk_image=compute.GalleryOSDiskImageArgs(
                    source=compute.GalleryDiskImageSourceArgs(
                        uri=pulumi.Output.concat(self.destination, "/", file), storage_account_id=self._account.id
                    )
                )
            ),
            publishing_profile=compute.GalleryImageVersionPublishingProfileArgs(
                # A workspace refers to its image by digest, never to the latest one.
                exclude_from_latest=True,
                target_regions=[
                    compute.TargetRegionArgs(
                        name=region,
                        regional_replica_count=replicas,
                        storage_account_type=compute.StorageAccountType.STANDARD_LRS,
                    )
                    for region, replicas in sorted(self._place.regions.items())
                ],
            ),
            safety_profile=compute.GalleryImageVersionSafetyProfileArgs(allow_deletion_of_replicated_locations=True),
            security_profile=_uefi(image),
            tags={**self._tags, "cloister-image": image.digest},
            opts=self._options,
        )


def version_name(digest: str) -> str:
    """A version ``major.minor.patch`` of 32 bits each ("Gallery Image Versions", galleryImageVersionName), derived from
    the digest, so that an image has the same version everywhere.
    """
    return f"1.{int(digest[:8], 16) >> 1}.{int(digest[8:16], 16) >> 1}"


def _uefi(image: PublishedImage) -> compute.ImageVersionSecurityProfileArgs | None:
    """The image's Secure Boot keys instead of Microsoft's; None for an unsigned image."""
    keys = image.secure_boot
    if keys is None:
        return None
    return compute.ImageVersionSecurityProfileArgs(
        uefi_settings=compute.GalleryImageVersionUefiSettingsArgs(
            signature_template_names=[compute.UefiSignatureTemplateName.NO_SIGNATURE_TEMPLATE],
            additional_signatures=compute.UefiKeySignaturesArgs(
                pk=_key([keys.pk]), kek=[_key(keys.kek)], db=[_key(keys.db)]
            ),
        )
    )


def _key(certificates: Sequence[bytes]) -> compute.UefiKeyArgs:
    return compute.UefiKeyArgs(
        type=compute.UefiKeyType.X509, value=[base64.b64encode(der).decode() for der in certificates]
    )
