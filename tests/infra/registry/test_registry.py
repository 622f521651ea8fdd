"""Registries: their configuration, and both clouds through the real engine with stand-ins in the clouds' place."""

import base64
import datetime
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cloister.errors import InputError
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.signedimage import SignedImage
from infra.configuration import cloud
from infra.configuration.validation import ConfigurationError
from infra.pulumi_cli import project as pulumi_project
from infra.registry import configuration, published, registries
from infra.registry.backends import azure as azure_backend
from infra.registry.backends import gcp as gcp_backend
from infra.registry.configuration import SecureBoot
from tests.infra import recorder
from tests.infra.clouds import project, workspaces
from tests.infra.project import Project

DIGEST, OTHER = "ab" * 32, "cd" * 32
UUID = "11111111-2222-3333-4444-555555555555"
PLACES = {
    "azure": {"subscription": UUID, "tenant": UUID, "location": "westeurope"},
    "gcp": {"project": "cloister-images", "location": "eu"},
}
ELSEWHERE = {"azure": "northeurope", "gcp": "us"}
PROGRAM = {"program": "infra.registry", "key": configuration.KEY}
WHOLE = {"azure": 9, "gcp": 5}
"""Resources of a registry with one image: stack, component, provider and what the cloud has."""


def certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own key")])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + datetime.timedelta(days=1))
    return base64.b64encode(made.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)).decode()


def value(backend: str, *images: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"backend": backend, backend: PLACES[backend] | changes, "images": list(images)}


def registry(folder: Path, backend: str, *images: dict[str, Any], **changes: Any) -> Project:
    return project.create(folder, "images", value(backend, *images, **changes), **PROGRAM)


def things(folder: Path) -> dict[str, dict[str, Any]]:
    """The inputs of what is in the cloud, by type; one of each."""
    world = json.loads((folder / "world.json").read_text())
    return {thing["type"].rpartition(":")[2]: thing["inputs"] for thing in world.values()}


def outputs(made: Project) -> dict[str, Any]:
    return json.loads(made.pulumi("stack", "output", "--json"))


@pytest.mark.engine
def test_an_azure_registry_holds_an_image_in_every_region_it_names(tmp_path: Path):
    regions = [{"name": "northeurope", "replicas": 3}]
    made = registry(tmp_path, "azure", {"flavor": "base", "digest": DIGEST}, regions=regions)
    made.up(create=WHOLE["azure"])
    made.up(same=WHOLE["azure"])

    there = things(tmp_path)
    account = there["StorageAccount"]
    refused = ("allowBlobPublicAccess", "allowSharedKeyAccess", "isLocalUserEnabled", "allowCrossTenantReplication")
    assert [account[name] for name in refused] == [False] * 4
    assert (account["minimumTlsVersion"], account["enableHttpsTrafficOnly"]) == ("TLS1_2", True)
    assert account["encryption"]["requireInfrastructureEncryption"] is True
    assert there["BlobContainer"]["publicAccess"] == "None"

    definition = there["GalleryImage"]
    assert (
        definition["osState"],
        definition["osType"],
        definition["hyperVGeneration"],
        definition["architecture"],
    ) == (
        "Specialized",
        "Linux",
        "V2",
        "x64",
    )
    assert {one["name"]: one["value"] for one in definition["features"]} == {
        "SecurityType": "ConfidentialVmSupported",
        "DiskControllerTypes": "SCSI, NVMe",
    }

    version = there["GalleryImageVersion"]
    told = outputs(made)
    source = version["storageProfile"]["osDiskImage"]["source"]
    assert source["uri"] == f"{told['destination']}/cloister-base-{DIGEST}.vhd"
    assert "/storageAccounts/" in source["storageAccountId"]
    regions = version["publishingProfile"]["targetRegions"]
    assert {one["name"]: one["regionalReplicaCount"] for one in regions} == {"northeurope": 3, "westeurope": 1}
    assert "securityProfile" not in version
    labels = {"cloister-registry": "images", "managed-by": "cloister"}
    assert all(there[kind]["tags"].items() >= labels.items() for kind in there if kind != "BlobContainer")
    assert list(told["images"]) == [DIGEST]
    assert told["images"][DIGEST]["flavor"] == "base"
    assert told["images"][DIGEST]["id"].endswith(f"/images/base/versions/{azure_backend.version_name(DIGEST)}")
    assert told["images"][DIGEST]["regions"] == ["northeurope", "westeurope"]


@pytest.mark.engine
def test_a_google_registry_holds_an_image_that_confidential_vms_start_from(tmp_path: Path):
    made = registry(tmp_path, "gcp", {"flavor": "base", "digest": DIGEST})
    made.up(create=WHOLE["gcp"])
    made.up(same=WHOLE["gcp"])

    there = things(tmp_path)
    bucket = there["Bucket"]
    assert (bucket["uniformBucketLevelAccess"], bucket["publicAccessPrevention"]) == (True, "enforced")
    assert bucket["location"] == "EU"
    image = there["Image"]
    told = outputs(made)
    assert told["destination"] == f"gs://{bucket['name']}"
    assert image["rawDisk"]["source"] == (
        f"https://storage.googleapis.com/{bucket['name']}/cloister-base-{DIGEST}.tar.gz"
    )
    assert sorted(feature["type"] for feature in image["guestOsFeatures"]) == [
        "GVNIC",
        "SEV_SNP_CAPABLE",
        "TDX_CAPABLE",
        "UEFI_COMPATIBLE",
        "VIRTIO_SCSI_MULTIQUEUE",
    ]
    assert "shieldedInstanceInitialState" not in image
    assert told["images"] == {DIGEST: {"flavor": "base", "id": told["images"][DIGEST]["id"]}}
    assert told["images"][DIGEST]["id"].endswith(f"/images/cloister-base-{DIGEST[:32]}")


@pytest.mark.engine
@pytest.mark.parametrize("backend", ["azure", pytest.param("gcp", marks=pytest.mark.rare)])
def test_images_can_be_added_and_removed_and_storage_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
):
    made = registry(tmp_path, backend)
    holding = WHOLE[backend] - (2 if backend == "azure" else 1)
    made.up(create=holding)
    path = f"{configuration.KEY}.images"
    for number, (flavor, digest) in enumerate([("base", DIGEST), ("pytorch", OTHER)]):
        made.pulumi("config", "set", "--path", f"{path}[{number}].flavor", flavor)
        made.pulumi("config", "set", "--path", f"{path}[{number}].digest", digest)
    made.up(create=2 * (WHOLE[backend] - holding), same=holding)
    made.pulumi("config", "rm", "--path", f"{path}[0]")
    made.up(delete=WHOLE[backend] - holding, same=WHOLE[backend])
    assert list(outputs(made)["images"]) == [OTHER]

    # Another location would replace them and delete all images.
    made.pulumi("config", "set", "--path", f"{configuration.KEY}.{backend}.location", ELSEWHERE[backend])
    assert "protect" in made.pulumi("preview", good=False)
    stack = replace(registries.PROJECT, folder=made.folder)
    monkeypatch.setattr(pulumi_project, "_environment", lambda: made.environment)
    with pytest.raises(pulumi_project.StackError):
        stack.hand_over("destroy", "--stack", "images", "--yes", "--skip-preview")
    stack.destroy_protected("images", "--yes", "--skip-preview")
    assert things(tmp_path) == {}


@pytest.mark.engine
@pytest.mark.parametrize("backend", ["azure", pytest.param("gcp", marks=pytest.mark.rare)])
def test_an_image_that_is_signed_brings_its_own_keys(tmp_path: Path, backend: str):
    pk, kek, db = certificate(), certificate(), certificate()
    keys = {"pk": pk, "kek": [kek], "db": [db]}
    made = registry(tmp_path, backend, {"flavor": "base", "digest": DIGEST, "secure_boot": keys})
    made.up(create=WHOLE[backend])
    there = things(tmp_path)
    if backend == "azure":
        settings = there["GalleryImageVersion"]["securityProfile"]["uefiSettings"]
        assert settings["signatureTemplateNames"] == ["NoSignatureTemplate"]
        assert settings["additionalSignatures"] == {
            "pk": {"type": "x509", "value": [pk]},
            "kek": [{"type": "x509", "value": [kek]}],
            "db": [{"type": "x509", "value": [db]}],
        }
    else:
        assert there["Image"]["shieldedInstanceInitialState"] == {
            "pk": {"content": pk, "fileType": "X509"},
            "keks": [{"content": kek, "fileType": "X509"}],
            "dbs": [{"content": db, "fileType": "X509"}],
        }


def test_missing_image_is_reported_with_what_to_do():
    images = {DIGEST: {"flavor": "base", "id": "an image"}}
    assert published.find("organization/cloister-registry/images", DIGEST, images) == "an image"
    for held in (images, None, {OTHER: "an image"}):
        with pytest.raises(pulumi.RunError, match=r"does not hold the image cdcd.*registry.add --stack images"):
            published.find("organization/cloister-registry/images", OTHER, held)


def test_image_without_a_replica_in_the_region_is_reported():
    images = {DIGEST: {"flavor": "base", "id": "an image", "regions": ["northeurope", "westeurope"]}}
    registry = "organization/cloister-registry/images"
    assert published.find(registry, DIGEST, images, "westeurope") == "an image"
    with pytest.raises(
        pulumi.RunError, match=r"in northeurope, westeurope, not in uksouth\. .*registry\.up --stack images"
    ):
        published.find(registry, DIGEST, images, "uksouth")


@pytest.mark.engine
def test_a_workspace_where_its_image_has_no_replica_fails_its_preview(tmp_path: Path):
    image = workspaces.manifest(tmp_path)
    wanted = workspaces.value("azure", image)
    wanted["azure"] = wanted["azure"] | {"location": "uksouth"}
    said = workspaces.create(tmp_path, wanted, image).pulumi("preview", good=False)
    assert "in northeurope, westeurope, not in uksouth" in said
    assert "Traceback" not in said


@pytest.mark.engine
def test_workspace_with_an_unpublished_image_fails_its_preview(tmp_path: Path):
    declared, held = workspaces.manifest(tmp_path), workspaces.manifest(tmp_path, source="11")
    made = workspaces.create(tmp_path, workspaces.value("gcp", declared), held)
    said = made.pulumi("preview", good=False)
    assert f"The registry {workspaces.REGISTRY} does not hold the image" in said
    assert "Traceback" not in said


@pytest.mark.engine
@pytest.mark.parametrize("backend", ["azure", pytest.param("gcp", marks=pytest.mark.rare)])
def test_workspace_starts_machines_from_its_registry(tmp_path: Path, backend: str):
    image = workspaces.manifest(tmp_path)
    digest = ImageManifest.parse(image.read_bytes()).digest().hex()
    wanted = workspaces.value(backend, image)
    place = dict(wanted[backend])
    where = {key: place[key] for key in PLACES[backend] if key in place} | {"location": place.get("location", "eu")}
    home = project.create(tmp_path, "images", value(backend, {"flavor": "base", "digest": digest}, **where), **PROGRAM)
    home.up(create=WHOLE[backend])
    wanted[backend] = place | {"registry": registries.full_name("images")}
    made = project.create(tmp_path, "lab", wanted)

    steps = json.loads(made.pulumi("preview", "--json"))["steps"]

    machines = [step["newState"]["inputs"] for step in steps if step["urn"].endswith(("::trainer", "::scorer"))]
    named = [
        inputs["storageProfile"]["imageReference"]["id"]
        if backend == "azure"
        else inputs["bootDisk"]["initializeParams"]["image"]
        for inputs in machines
        if {"storageProfile", "bootDisk"} & set(inputs)
    ]
    assert named == [outputs(home)["images"][digest]["id"]] * 2


@pytest.fixture
def verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pulumi_project.Project:
    """The project of the registries, in a folder of its own."""
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOISTER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "state").as_uri())
    (tmp_path / "Pulumi.yaml").write_bytes((registries.PROJECT.folder / "Pulumi.yaml").read_bytes())
    monkeypatch.setattr(registries, "PROJECT", replace(registries.PROJECT, folder=tmp_path))
    return registries.PROJECT


@pytest.mark.rare
@pytest.mark.engine
def test_images_are_added_to_and_removed_from_the_configuration(verbs: pulumi_project.Project, tmp_path: Path):
    base, signed = workspaces.manifest(tmp_path), workspaces.manifest(tmp_path, signed=True)
    registries.create("images", "azure", PLACES["azure"])
    settings = yaml.safe_load((tmp_path / "Pulumi.images.yaml").read_text())["config"]
    assert settings["pulumi:disable-default-providers"] == ["azure-native", "gcp"]
    statement = SignedImage.parse((signed.parent / "signed.json").read_bytes())

    first, second = registries.add("images", str(base)), registries.add("images", str(signed))
    pk, kek, db = (statement.certificates[name] for name in ("PK", "KEK", "db"))
    keys = SecureBoot(pk, (kek,), (db,))
    assert (first.secure_boot, second.secure_boot) == (None, keys)
    assert second.digest == statement.digest().hex() != first.digest == statement.manifest
    assert registries.read("images").images == (first, second)
    assert [(one.digest, one.identifier) for one in registries.list_images("images")] == [
        (first.digest, ""),
        (second.digest, ""),
    ]
    with pytest.raises(InputError, match=r"already has the image"):
        registries.add("images", str(base))
    with pytest.raises(InputError, match="has 2 images 'base'"):
        registries.remove("images", "base")
    assert registries.remove("images", first.digest[:8]) == first
    assert registries.read("images").images == (second,)
    with pytest.raises(InputError, match="is not up"):
        registries.destination("images")


@pytest.mark.engine
def test_image_without_the_clouds_disk_format_is_not_added(verbs: pulumi_project.Project, image: Path):
    registries.create("images", "gcp", PLACES["gcp"])
    with pytest.raises(InputError, match=r"has no disk\.tar\.gz, which the backend gcp needs"):
        registries.add("images", str(image))
    assert registries.read("images").images == ()


@pytest.mark.engine
def test_invalid_registry_is_not_created(verbs: pulumi_project.Project):
    with pytest.raises(InputError, match="Invalid backend 'aws': a registry's backend must be azure or gcp"):
        registries.create("images", "aws", {})
    with pytest.raises(InputError, match="No registry is selected") as caught:
        verbs.selected("")
    assert caught.value.hint == "Create one: invoke registry.new NAME"


@pytest.mark.engine
@pytest.mark.parametrize(
    ("backend", "place", "problems"),
    [
        ("azure", {"subscription": UUID, "location": "westeurope"}, ["--tenant: is missing."]),
        (
            "gcp",
            {"subscription": UUID, "tenant": UUID, "location": "eu"},
            [
                "--subscription: applies to azure only, and the backend is gcp. Omit it.",
                "--tenant: applies to azure only, and the backend is gcp. Omit it.",
                "--project: is missing.",
            ],
        ),
        ("azure", PLACES["azure"] | {"tenant": "mine"}, [f"--tenant: must be {cloud.UUID_FORMAT}, not 'mine'."]),
    ],
)
def test_error_of_a_new_registry_names_the_option(
    verbs: pulumi_project.Project, backend: str, place: dict[str, str], problems: list[str]
):
    with pytest.raises(ConfigurationError) as caught:
        registries.create("Images", backend, place)
    assert list(caught.value.problems) == [
        *(one for one in problems if "applies to" in one),
        "name: invalid name 'Images'; use lowercase letters, digits and '-', at most 63 characters.",
        *(one for one in problems if "applies to" not in one),
    ]


def test_all_errors_of_a_registry_are_reported_together():
    wrong = {
        "backend": "azure",
        "azure": {
            "subscription": "mine",
            "tenant": UUID,
            "location": "West Europe",
            "regions": [{"name": "northeurope", "replicas": 0}, {"name": "northeurope"}],
        },
        "gcp": PLACES["gcp"],
        "labels": {"Cost": "1", "cloister-registry": "mine"},
        "images": [
            {"flavor": "base", "digest": DIGEST},
            {"flavor": "base", "digest": DIGEST},
            {"flavor": "BASE", "digest": "ab", "secure_boot": {"pk": "AAAA", "kek": [], "key": 1}},
        ],
        "colour": "red",
    }
    with pytest.raises(ConfigurationError) as caught:
        configuration.parse("Images", wrong)
    assert list(caught.value.problems) == [
        "stack: invalid name 'Images'; use lowercase letters, digits and '-', at most 63 characters.",
        "registry.colour: unknown key; known keys: backend, azure, gcp, labels, images.",
        "registry.gcp: applies to gcp only, and the backend is azure. Omit it.",
        "registry.azure.location: must be a location such as westeurope, not 'West Europe'.",
        "registry.azure.regions[0].replicas: must be an integer from 1 to 50, not 0.",
        "registry.azure.regions[1].name: northeurope is listed twice.",
        f"registry.azure.subscription: must be {cloud.UUID_FORMAT}, not 'mine'.",
        "registry.labels: invalid label 'Cost'; use lowercase letters, digits, '_' and '-', starting with a letter.",
        "registry.labels.cloister-registry: is reserved: Cloister sets it.",
        "registry.images[2].flavor: must be the flavor of an image, not 'BASE'.",
        "registry.images[2].digest: must be a SHA-256 in 64 lowercase hexadecimal digits, not 'ab'.",
        "registry.images[2].secure_boot.key: unknown key; known keys: pk, kek, db.",
        "registry.images[2].secure_boot.db: is missing.",
        "registry.images[2].secure_boot.kek: must be a list with at least one entry.",
        "registry.images[2].secure_boot.pk: must be an X.509 certificate (DER) in base64.",
        f"registry.images: the same digest '{DIGEST}' appears 2 times.",
    ]


@pytest.mark.parametrize(
    ("location", "problems"),
    [
        ("europe-west4", []),
        ("eu", []),
        # Pairs of regions, and a zone.
        *(
            (one, [f"registry.gcp.location: must be a location such as eu or europe-west4, not {one!r}."])
            for one in ("eur4", "nam4", "asia1", "europe-west4-b")
        ),
    ],
)
def test_image_is_in_a_region_or_multi_region(location: str, problems: list[str]):
    try:
        configuration.parse("images", {"backend": "gcp", "gcp": PLACES["gcp"] | {"location": location}})
        found = []
    except ConfigurationError as error:
        found = list(error.problems)
    assert found == problems


@pytest.mark.engine
def test_invalid_registry_is_reported_without_traceback(tmp_path: Path):
    made = project.create(tmp_path, "images", {"backend": "gcp"}, **PROGRAM)
    said = made.pulumi("preview", good=False)
    assert "registry.gcp: is missing." in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("backend", "module", "provider", "option"),
    [
        ("azure", azure_backend, "pulumi:providers:azure-native azure", ("disablePulumiPartnerId", "true")),
        ("gcp", gcp_backend, "pulumi:providers:gcp gcp", ("addPulumiAttributionLabel", "false")),
    ],
)
def test_registry_resources_are_not_attributed_to_pulumi(
    backend: str, module: Any, provider: str, option: tuple[str, str]
):
    said = configuration.parse("images", {"backend": backend, backend: PLACES[backend]})
    answers = {"azure-native:storage:StorageAccount": {"primaryEndpoints": {"blob": "https://images.example/"}}}
    found, _ = recorder.declare(lambda: module.RegistryComponent(said).destination, answers)
    name, value = option
    assert found[provider]["inputs"][name] == value
