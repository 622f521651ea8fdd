"""The configuration of a registry: ``cloister-registry:registry`` of a stack, as frozen values.

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
# Google Cloud, "Bucket locations": a region or a multi-region. A dual-region (eur4) is valid for the bucket but not
# for the image (pulumi-gcp, compute.Image, storage_locations: "regional or multi-regional").
_BUCKET = re.compile(r"(asia|eu|us|[a-z]+-[a-z]+[0-9]+)\Z")
# Azure REST API, Gallery Image Versions, TargetRegion, and "Store and share images in an Azure Compute Gallery": the
# limits are 100 replicas of a version and in each region 50; what a VM is made from 20 at a time is one replica.
_MOST_REPLICAS = 50


@dataclass(frozen=True)
class SecureBoot:
    """Certificates (X.509, DER) for secure boot: platform key, key exchange keys and signature database."""

    pk: bytes
    kek: tuple[bytes, ...]
    db: tuple[bytes, ...]


@dataclass(frozen=True)
class PublishedImage:
    """A published image. ``digest`` (hex) is its manifest's, or its statement's if it is signed.

    ``secure_boot`` is None for the cloud's default keys.
    """

    flavor: str
    digest: str
    secure_boot: SecureBoot | None


@dataclass(frozen=True)
class AzureRegistryConfiguration:
    """``regions``: name -> replicas, including the registry's own location."""

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
    """``azure`` or ``gcp`` is set, according to ``backend``; the other is None."""

    name: str
    backend: str
    images: tuple[PublishedImage, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    azure: AzureRegistryConfiguration | None = None
    gcp: GcpRegistryConfiguration | None = None

    def tags(self) -> dict[str, str]:
        """The labels of each resource, including those that identify the registry."""
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
            validator.add(f"registry.{other}", f"applies to {other} only, and the backend is {backend}. Omit it.")
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
    location = validator.matching(fields, "location", path, cloud.LOCATION, cloud.LOCATION_FORMAT)
    regions = {}
    for place, entry in validator.entries(fields.get("regions"), f"{path}.regions"):
        one = validator.mapping(entry, place, required=("name",), optional=("replicas",))
        region = validator.matching(one, "name", place, cloud.LOCATION, cloud.LOCATION_FORMAT)
        if region in regions:
            validator.add(f"{place}.name", f"{region} is listed twice.")
        regions[region] = validator.integer(one, "replicas", place, default=1, allowed=range(1, _MOST_REPLICAS + 1))
    return AzureRegistryConfiguration(
        subscription=validator.matching(fields, "subscription", path, cloud.UUID, cloud.UUID_FORMAT),
        tenant=validator.matching(fields, "tenant", path, cloud.UUID, cloud.UUID_FORMAT),
        location=location,
        # Azure rejects a version that is not replicated to its own region (Gallery Image Versions, publishingProfile).
        regions={location: 1} | regions,
    )


def _gcp(validator: Validator, value: Any) -> GcpRegistryConfiguration:
    path = "registry.gcp"
    fields = validator.mapping(value, path, required=("project", "location"))
    return GcpRegistryConfiguration(
        project=validator.matching(fields, "project", path, cloud.PROJECT, cloud.PROJECT_FORMAT),
        location=validator.matching(fields, "location", path, _BUCKET, "a location such as eu or europe-west4"),
    )


def _images(validator: Validator, value: Any) -> tuple[PublishedImage, ...]:
    images = []
    # An empty registry has an empty list, or none.
    for path, entry in validator.entries(value or None, "registry.images"):
        fields = validator.mapping(entry, path, required=("flavor", "digest"), optional=("secure_boot",))
        flavor = validator.matching(fields, "flavor", path, NAME, "the flavor of an image")
        digest = validator.matching(fields, "digest", path, _DIGEST, "a SHA-256 in 64 lowercase hexadecimal digits")
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
        raise InputError("must be an X.509 certificate (DER) in base64.") from error
    return der
