"""Importing a computation into another workspace: its files, and what is missing before it can run there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.exchange.package import ComputationPackage, copy_asset, open_package
from cloister.client.exchange.source import place_of, written_form
from cloister.errors import InputError
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.manifest import Asset, Manifest
from cloister.protocol.signingkey import key_id
from cloister.protocol.wheels.image_packages import missing
from cloister.units import format_size
from cloister.userfile import FilePath

SOURCE = "computation.yaml"
EXPORTED = "exported"


@dataclass(frozen=True)
class MissingPart:
    """Something that is missing: ``kind`` of thing, its ``name``, and a sentence with what to do."""

    kind: str
    name: str
    text: str
    digest: str = ""

    def value(self) -> dict[str, Any]:
        """The JSON value."""
        return {"kind": self.kind, "name": self.name, "text": self.text, "digest": self.digest or None}


@dataclass(frozen=True)
class ImportedComputation:
    """What was imported: ``source`` is the author's manifest, ``files`` all files that were written."""

    source: Path
    manifest: Manifest
    files: tuple[Path, ...]
    missing: tuple[MissingPart, ...]


def import_computation(
    package: FilePath,
    folder: FilePath,
    *,
    workspace: Descriptor | None = None,
    policy: Policy | None = None,
    image: ImageManifest | None = None,
    key: bytes | None = None,
) -> ImportedComputation:
    """Unpack an exported computation into a new folder, and say what is missing in another workspace.

    Args:
        package: a file as `export` writes it. Nothing in it is trusted: policy and rules are only for reading.
        folder: the folder to make; it must not exist, or be empty.
        workspace: the descriptor of the workspace in which it will run; None leaves members and image open.
        policy: the party's own policy for that workspace; None for none yet.
        image: the image of that workspace, to compare its packages; None does not.
        key: the party's public key (SPKI); None does not say which party it is.

    Returns:
        The files, and what is missing.

    Raises:
        InputError: the file is not an exported computation, or the folder has files or cannot be written.
        ChangedFileError: a part of the file is not what its manifest says.
    """
    found, folder = open_package(Path(package)), Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError(f"{folder} has files.", hint="Name another folder with --output.")
        written = tuple(_write(found, folder))
    except OSError as error:
        raise userfile.unwritable(error.filename or folder, error) from error
    parts = (
        *_assets(found),
        *_members(found.manifest, workspace, key),
        *_image(found, workspace, image),
        *_documents(found, workspace, policy),
    )
    return ImportedComputation(folder / SOURCE, found.manifest, written, parts)


def _write(found: ComputationPackage, folder: Path) -> Iterator[Path]:
    documents = {f"{EXPORTED}/manifest.json": found.manifest.encode()}
    if found.policy is not None:
        documents[f"{EXPORTED}/policy.json"] = found.policy
    documents |= {f"{EXPORTED}/rules/{name}": data for name, data in found.rules.items()}
    documents[SOURCE] = written_form(found.manifest)
    for name, data in documents.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        userfile.write_new(target, data)
        yield target
    for asset in found.assets:
        target = folder / place_of(asset)
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_asset(found, asset, target)
        yield target


def _assets(found: ComputationPackage) -> Iterator[MissingPart]:
    for asset in found.manifest.assets():
        if asset not in found.assets:
            what = "The dataset" if asset.kind == "dataset" else f"The {asset.kind}"
            yield MissingPart(
                "dataset" if asset.kind == "dataset" else "algorithm",
                asset.name,
                f"{what} {asset.name} ({asset.file}, {format_size(asset.size)}) is with {asset.provider}, SHA-256 "
                f"{asset.digest}. {_ask(asset)}",
                asset.digest,
            )


def _ask(asset: Asset) -> str:
    if asset.kind == "dataset":
        return f"For other data, put what `checksum` prints into {SOURCE}."
    return f"Put it at {place_of(asset)} if you have it; only its provider needs it."


def _members(manifest: Manifest, workspace: Descriptor | None, key: bytes | None) -> Iterator[MissingPart]:
    if key is not None and not manifest.names(key):
        yield MissingPart(
            "key",
            "own",
            f"Your key {key_id(key)} belongs to no party of this manifest. Put your public key into parties of "
            f"{SOURCE}.",
            key_id(key),
        )
    if workspace is None:
        yield MissingPart(
            "workspace", "", "Which members and image the workspace has was not compared: pass --workspace."
        )
        return
    members = {member.name: member.key for member in workspace.members}
    for name, expected in manifest.parties.items():
        if expected in members.values():
            continue
        if name in members:
            said = (
                f"The party {name} has another key in the workspace {workspace.workspace} (manifest: "
                f"{key_id(expected)}, workspace: {key_id(members[name])}). Ask {name} which is right, and correct "
                f"{SOURCE}."
            )
        else:
            said = (
                f"The party {name}, key {key_id(expected)}, is not a member of the workspace {workspace.workspace}. "
                "Ask the platform team whether it has to be one: parties need not be members, owners must be."
            )
        yield MissingPart("key", name, said, key_id(expected))


def _image(
    found: ComputationPackage, workspace: Descriptor | None, image: ImageManifest | None
) -> Iterator[MissingPart]:
    known = {one["digest"]: one["flavor"] for one in found.origin["images"]}
    if workspace is not None and known and workspace.image not in known:
        accepted = ", ".join(f"{flavor} {digest}" for digest, flavor in known.items())
        yield MissingPart(
            "image",
            workspace.flavor,
            f"The workspace {workspace.workspace} runs the image {workspace.flavor} {workspace.image}; the computation "
            f"was made for {accepted}. Get that image's manifest, and build the bundle again if it counts on packages "
            "of the image.",
            workspace.image,
        )
    counted = found.manifest.algorithm.image_packages
    if not counted:
        return
    if image is None:
        yield MissingPart(
            "image",
            "packages",
            f"The algorithm counts on packages of an image: {_listed(sorted(counted))}. Pass --image with the manifest "
            "of the workspace's image to compare them.",
        )
    elif lacking := missing(counted, image.packages):
        yield MissingPart(
            "image", "packages", f"The image {image.flavor} lacks packages that the algorithm counts on: {lacking}."
        )


def _documents(found: ComputationPackage, workspace: Descriptor | None, policy: Policy | None) -> Iterator[MissingPart]:
    if policy is None or (workspace is not None and policy.boot_configuration.workspace != workspace.workspace):
        beside = f" {EXPORTED}/policy.json is someone else's: only read it." if found.policy is not None else ""
        yield MissingPart("policy", "", f"You have no policy for this workspace. Start your own with `policy`.{beside}")
    for name in found.rules:
        yield MissingPart(
            "rule",
            name,
            f"The rule {name} names the other workspace and its policy: it permits nothing here. Write a new one with "
            "`rule` when you have reviewed the new manifest.",
        )


def _listed(several: Sequence[str]) -> str:
    return ", ".join(several[:8]) + (" and more" if len(several) > 8 else "")
