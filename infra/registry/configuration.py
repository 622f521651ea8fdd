"""The configuration of a registry: what ``cloister-registry:registry`` of a stack says, as frozen values.

All errors are reported together, each with the path of its key, before any resource is declared.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from cloister.errors import InputError
from infra.configuration import cloud
from infra.configuration.validation import NAME, ConfigurationError, Validator

KEY = "cloister-registry:registry"
LABEL = "cloister-registry"
MANAGED = {cloud.MANAGER_LABEL: cloud.MANAGER}

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
# Google Cloud, "Bucket locations": a region or a multi-region. A pair of regions (eur4) would do for the bucket and not
# for the image (pulumi-gcp, compute.Image, storage_locations: "regional or multi-regional").
_BUCKET = re.compile(r"(asia|eu|us|[a-z]+-[a-z]+[0-9]+)\Z")
# Azure REST API, Gallery Image Versions, TargetRegion, and "Store and share images in an Azure Compute Gallery": the
# limits are 100 replicas of a version and in each region 50; what a VM is made from 20 at a time is one replica.
_MOST_REPLICAS = 50


@dataclass(frozen=True)
class SecureBoot:
    """Whose signature the firmware takes: certificates (X.509, DER) of platform key, key exchange and database."""

    pk: bytes
    kek: tuple[bytes, ...]
    db: tuple[bytes, ...]


@dataclass(frozen=True)
class PublishedImage:
    """An image that was published: ``digest`` is that of its manifest (hex)."""

    flavor: str
    digest: str
    secure_boot: SecureBoot | None


@dataclass(frozen=True)
class AzureRegistryConfiguration:
    """``regions`` name -> replicas, the registry's own location among them."""

    subscription: str
    tenant: str
    location: str
    regions: Mapping[str, int]


@dataclass(frozen=True)
class GcpRegistryConfiguration:
    """``location`` of the bucket and of the images."""

    project: str
    location: str


@dataclass(frozen=True)
class RegistryConfiguration:
    """One of ``azure`` and ``gcp`` is there: that of ``backend``."""

    name: str
    backend: str
    images: tuple[PublishedImage, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    azure: AzureRegistryConfiguration | None = None
    gcp: GcpRegistryConfiguration | None = None

    def tags(self) -> dict[str, str]:
        """The labels of each resource, those that say what it belongs to among them."""
        return {**self.labels, LABEL: self.name, **MANAGED}


def parse(name: str, value: Any) -> RegistryConfiguration:
    """The registry that stack ``name`` configures with ``value``. Raises ConfigurationError."""
    validator = Validator()
    validator.name({"name": name}, "stack")
    top = validator.mapping(value, "registry", required=("backend",), optional=("azure", "gcp", "labels", "images"))
    backend = validator.choice(top, "backend", "registry.backend", cloud.BACKENDS)
    azure, gcp = None, None
    for other in cloud.BACKENDS:
        if other != backend and other in top:
            validator.add(f"registry.{other}", f"belongs to the backend {other}, and this one is {backend}.")
    if backend in cloud.BACKENDS and backend not in top:
        validator.add(f"registry.{backend}", "is missing.")
    elif backend == "azure":
        azure = _azure(validator, top["azure"])
    elif backend == "gcp":
        gcp = _gcp(validator, top["gcp"])
    labels = cloud.labels(validator, top.get("labels"), "registry.labels")
    images = _images(validator, top.get("images"))
    if validator.problems:
        raise ConfigurationError("registry", name, tuple(validator.problems))
    return RegistryConfiguration(name, backend, images, labels, azure, gcp)


def _azure(validator: Validator, value: Any) -> AzureRegistryConfiguration:
    path = "registry.azure"
    fields = validator.mapping(value, path, required=("subscription", "tenant", "location"), optional=("regions",))
    location = validator.matching(fields, "location", path, cloud.LOCATION, cloud.NO_LOCATION)
    regions = {}
    for place, entry in validator.entries(fields.get("regions"), f"{path}.regions"):
        one = validator.mapping(entry, place, required=("name",), optional=("replicas",))
        region = validator.matching(one, "name", place, cloud.LOCATION, cloud.NO_LOCATION)
        if region in regions:
            validator.add(f"{place}.name", f"{region} is there twice.")
        regions[region] = validator.integer(one, "replicas", place, default=1, allowed=range(1, _MOST_REPLICAS + 1))
    return AzureRegistryConfiguration(
        subscription=validator.matching(fields, "subscription", path, cloud.UUID, cloud.NO_UUID),
        tenant=validator.matching(fields, "tenant", path, cloud.UUID, cloud.NO_UUID),
        location=location,
        # Azure refuses a version that is not in the region of its own (Gallery Image Versions, publishingProfile).
        regions={location: 1} | regions,
    )


def _gcp(validator: Validator, value: Any) -> GcpRegistryConfiguration:
    path = "registry.gcp"
    fields = validator.mapping(value, path, required=("project", "location"))
    return GcpRegistryConfiguration(
        project=validator.matching(fields, "project", path, cloud.PROJECT, cloud.NO_PROJECT),
        location=validator.matching(
            fields, "location", path, _BUCKET, "no location; write for example eu or europe-west4"
        ),
    )


def _images(validator: Validator, value: Any) -> tuple[PublishedImage, ...]:
    images = []
    # A registry that holds nothing yet has the list empty, or not at all.
    for path, entry in validator.entries(value or None, "registry.images"):
        fields = validator.mapping(entry, path, required=("flavor", "digest"), optional=("secure_boot",))
        flavor = validator.matching(fields, "flavor", path, NAME, "no flavor of an image")
        digest = validator.matching(fields, "digest", path, _DIGEST, "no SHA-256 in 64 lower-case hexadecimal digits")
        keys = (
            _secure_boot(validator, fields["secure_boot"], f"{path}.secure_boot") if "secure_boot" in fields else None
        )
        images.append(PublishedImage(flavor, digest, keys))
    validator.unique([image.digest for image in images], "registry.images", "digest")
    return tuple(images)


def _secure_boot(validator: Validator, value: Any, path: str) -> SecureBoot:
    fields = validator.mapping(value, path, required=("pk", "kek", "db"))
    lists = {}
    for name in ("kek", "db"):
        entries = validator.entries(fields.get(name), f"{path}.{name}")
        lists[name] = tuple(
            validator.attempt(place, lambda text=text: certificate(text)) or b"" for place, text in entries
        )
    pk = validator.attempt(f"{path}.pk", lambda: certificate(fields.get("pk"))) or b""
    return SecureBoot(pk, lists["kek"], lists["db"])


def certificate(text: Any) -> bytes:
    """The DER of a certificate in base64. Raises InputError."""
    try:
        der = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        x509.load_der_x509_certificate(der)
    except (ValueError, binascii.Error) as error:
        raise InputError("is not the base64 of a certificate (X.509, DER).") from error
    return der
