"""A registry in a Google Cloud project: a bucket for disks, and images for VMs."""

import base64
from collections.abc import Sequence

import pulumi
from pulumi_gcp import Provider, compute, storage

from image.publish.naming import TAR_GZ, blob_name
from infra.registry.configuration import GcpRegistryConfiguration, PublishedImage, RegistryConfiguration, SecureBoot

# Compute Engine, "Guest operating system features": a confidential VM cannot boot the image without these.
FEATURES = ("UEFI_COMPATIBLE", "GVNIC", "VIRTIO_SCSI_MULTIQUEUE", "SEV_SNP_CAPABLE", "TDX_CAPABLE")


class RegistryComponent(pulumi.ComponentResource):
    """``destination`` is the bucket's address.

    ``images`` maps the digest of each image manifest to flavor and image.
    """

    destination: pulumi.Output[str]
    images: pulumi.Output[object]

    def __init__(self, configuration: RegistryConfiguration) -> None:
        super().__init__("cloister:gcp:Registry", configuration.name)
        if configuration.gcp is None:
            raise ValueError("registry.gcp is missing.")
        place: GcpRegistryConfiguration = configuration.gcp
        provider = Provider(
            "gcp", project=place.project, add_pulumi_attribution_label=False, opts=pulumi.ResourceOptions(parent=self)
        )
        options = pulumi.ResourceOptions(parent=self, provider=provider)
        bucket = storage.Bucket(
            "cloister-images",
            location=place.location.upper(),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            storage_class="STANDARD",
            # Deleting the bucket deletes the disks: they can be published again, byte for byte.
            force_destroy=True,
            labels=configuration.tags(),
            # Replacing the bucket (for another location) would delete every disk.
            opts=pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(protect=True)),
        )
        self.destination = bucket.url
        self.images = pulumi.Output.from_input(
            {
                image.digest: {
                    "flavor": image.flavor,
                    "id": _image(configuration, place, image, bucket, options).self_link,
                }
                for image in configuration.images
            }
        )
        self.register_outputs({"destination": self.destination, "images": self.images})


def _image(
    configuration: RegistryConfiguration,
    place: GcpRegistryConfiguration,
    image: PublishedImage,
    bucket: storage.Bucket,
    options: pulumi.ResourceOptions,
) -> compute.Image:
    file = blob_name(image.flavor, image.digest, TAR_GZ)
    name = f"cloister-{image.flavor[:20]}-{image.digest[:32]}"
    return compute.Image(
        f"{image.flavor}-{image.digest[:16]}",
        name=name,
        description=f"Cloister {image.flavor}, manifest {image.digest}",
        raw_disk=compute.ImageRawDiskArgs(
            source=pulumi.Output.concat("https://storage.googleapis.com/", bucket.name, "/", file)
        ),
        storage_locations=[place.location.lower()],
        guest_os_features=[compute.ImageGuestOsFeatureArgs(type=feature) for feature in FEATURES],
        shielded_instance_initial_state=_initial_state(image.secure_boot),
        labels=configuration.tags(),
        opts=options,
    )


def _initial_state(keys: SecureBoot | None) -> compute.ImageShieldedInstanceInitialStateArgs | None:
    """The image's Secure Boot keys instead of Google's defaults; None for an unsigned image."""
    if keys is None:
        return None
    return compute.ImageShieldedInstanceInitialStateArgs(
        pk=compute.ImageShieldedInstanceInitialStatePkArgs(content=_base64(keys.pk), file_type="X509"),
        keks=[
            compute.ImageShieldedInstanceInitialStateKekArgs(content=text, file_type="X509")
            for text in _all_base64(keys.kek)
        ],
        dbs=[
            compute.ImageShieldedInstanceInitialStateDbArgs(content=text, file_type="X509")
            for text in _all_base64(keys.db)
        ],
    )


def _all_base64(certificates: Sequence[bytes]) -> list[str]:
    return [_base64(der) for der in certificates]


def _base64(der: bytes) -> str:
    return base64.b64encode(der).decode()
