"""Workspaces in the stand-ins' clouds: their configurations, and the images of their registries."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cloister.protocol import signedimage
from cloister.protocol.imagemanifest import ImageManifest, ImageOutput
from infra.configuration import image
from tests.infra.clouds import project
from tests.infra.clouds.world import CloudResource
from tests.infra.project import Project
from tests.signed_images import statement

REGISTRY = "organization/cloister-registry/main"
SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
TENANT = "66666666-7777-4888-8999-aaaaaaaaaaaa"
GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/registry/providers/Microsoft.Compute/galleries/registry"
IMAGES = {"azure": f"{GALLERY}/images/base/versions/1.0.0", "gcp": "projects/my-project/global/images/base"}
REGIONS = ("northeurope", "westeurope")
"""The regions that have the images in Azure."""

SECTIONS = {
    "azure": {"subscription": SUBSCRIPTION, "tenant": TENANT, "location": "westeurope", "registry": REGISTRY},
    "gcp": {"project": "my-project", "region": "europe-west4", "registry": REGISTRY},
}
BUDGETS = {
    "azure": {
        "amount": 500,
        "currency": "EUR",
        "alerts": [50, 100],
        "start": "2026-12-01",
        "contacts": ["a@b.example"],
    },
    "gcp": {"amount": 500, "currency": "EUR", "alerts": [50, 100], "billing_account": "012345-6789AB-CDEF01"},
}
ZONES = {"azure": ("1", "2"), "gcp": ("a", "b")}


def value(backend: str, image: Path) -> dict[str, Any]:
    """A workspace with two CVMs, one for each TEE, and a private endpoint."""
    first, second = ZONES[backend]
    return {
        "backend": backend,
        "image": str(image),
        backend: SECTIONS[backend],
        "members": [{"name": "lab", "key": key(), "roles": ["owner"]}],
        "cvms": [
            {"name": "trainer", "tee": "sev-snp", "vcpus": 4, "memory": "16GiB", "zone": first},
            {"name": "scorer", "tee": "tdx", "vcpus": 4, "memory": "16GiB", "zone": second},
        ],
        "ingress": ["198.51.100.0/24"],
        "labels": {"cost-centre": "4711"},
        "budget": BUDGETS[backend],
    }


def manifest(folder: Path, *, signed: bool = False, **inputs: str) -> Path:
    """Writes the manifest of an image below ``folder``, with the statement about a signed one.

    The digest of an input is its two hex digits, 32 times.
    """
    digests = {name: inputs.get(name, "00") * 32 for name in ("recipe", "lock", "tools", "source")}
    outputs = {name: ImageOutput("00" * 32, 64 << 20) for name in ("disk.raw", "disk.vhd", "disk.tar.gz")}
    pcrs = dict.fromkeys((4, 9, 11, 12, 13), "00" * 32)
    made = ImageManifest(flavor="base", debug=False, inputs=digests, outputs=outputs, pcrs=pcrs)
    path = folder / (f"{made.digest().hex()[:8]}-signed" if signed else "") / f"{made.digest().hex()[:8]}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(made.encode())
    if signed:
        (path.parent / signedimage.FILE).write_bytes(statement(made).encode())
    return path


def key() -> str:
    """A new public key."""
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def create(folder: Path, configuration: Mapping[str, Any], *images: Path) -> Project:
    """A project with ``configuration``, in a cloud whose registry has the images of these manifests."""
    made = project.create(folder, "lab", configuration)
    publish(made, str(configuration["backend"]), *images)
    return made


def publish(made: Project, backend: str, *manifests: Path) -> None:
    """Puts these images into the state of the registry's stack and into the cloud."""
    digests = [image.find(str(path)).deployed for path in manifests]
    there = {"regions": list(REGIONS)} if backend == "azure" else {}
    images = {digest: {"flavor": "base", "id": IMAGES[backend], **there} for digest in digests}
    root = {
        "urn": "urn:pulumi:main::cloister-registry::pulumi:pulumi:Stack::cloister-registry-main",
        "custom": False,
        "type": "pulumi:pulumi:Stack",
        "outputs": {"images": images},
    }
    manifest = {"time": "2026-01-01T00:00:00Z", "magic": "", "version": "v3.259.0"}
    stack = {"stack": REGISTRY, "latest": {"manifest": manifest, "resources": [root]}}
    path = made.state / ".pulumi" / "stacks" / "cloister-registry" / "main.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 3, "checkpoint": stack}))
    resources = {identity: asdict(resource) for identity, resource in _published(backend).items()}
    (made.folder.parent / "world.json").write_text(json.dumps(resources))


def _published(backend: str) -> dict[str, CloudResource]:
    if backend == "gcp":
        features = [{"type": one} for one in ("UEFI_COMPATIBLE", "GVNIC", "SEV_SNP_CAPABLE", "TDX_CAPABLE")]
        image = CloudResource("gcp:compute/image:Image", {"name": "base", "guestOsFeatures": features}, {})
        return {IMAGES[backend]: image}
    definition = {
        "osState": "Specialized",
        "hyperVGeneration": "V2",
        "features": [{"name": "SecurityType", "value": "ConfidentialVmSupported"}],
    }
    return {
        GALLERY: CloudResource("azure-native:compute:Gallery", {}, {}),
        f"{GALLERY}/images/base": CloudResource("azure-native:compute:GalleryImage", definition, {}),
        IMAGES[backend]: CloudResource(
            "azure-native:compute:GalleryImageVersion",
            {"publishingProfile": {"targetRegions": [{"name": region} for region in REGIONS]}},
            {},
        ),
    }
