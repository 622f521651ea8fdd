"""The file of an exported computation: a deterministic zip with an index.

``manifest.json`` is the canonical manifest, ``origin.json`` says where it comes from, ``policy.json`` and
``rules/*.yaml`` are documents to read, and ``assets/NAME`` are those parts of the algorithm that its exporter added.
"""

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from cloister.attestation.policy.policy import Policy
from cloister.client.computation.algorithm_files import find_bundle
from cloister.client.computation.asset import check_asset
from cloister.errors import ChangedFileError, InputError
from cloister.protocol import archive, canonical, schema
from cloister.protocol.document import MAX_SIZE as MAX_DOCUMENT
from cloister.protocol.manifest import MAX_SIZE, Asset, Manifest
from cloister.userfile import FilePath

MANIFEST = "manifest.json"
ORIGIN = "origin.json"
POLICY = "policy.json"
RULES = "rules/"
ASSETS = "assets/"
MAX_RULES = 64
_CHUNK = 1024 * 1024


@dataclass(frozen=True)
class ComputationPackage:
    """An exported computation, verified: the digest of every part is the one that manifest or origin names."""

    path: Path
    manifest: Manifest
    origin: Mapping[str, Any]
    policy: bytes | None
    rules: Mapping[str, bytes]
    assets: tuple[Asset, ...]
    """The assets whose bytes are in the file."""


def export_computation(
    manifest: Manifest,
    output: FilePath,
    *,
    policy: Policy | None = None,
    rules: Sequence[FilePath] = (),
    algorithm: FilePath | None = None,
    bundle: FilePath | None = None,
    files: Mapping[str, FilePath] | None = None,
) -> tuple[str, ...]:
    """Write a computation's definition to one file: no data, no private key, nothing that a machine holds.

    Args:
        manifest: the manifest of the computation.
        output: the file, which is replaced.
        policy: the party's policy, for the receiver to read: it says for which images the computation was made.
        rules: standing rules, for the receiver to read.
        algorithm: the program, if the receiver may have it; the bundle beside it is then added, too.
        bundle: the bundle, if the receiver may have it.
        files: those of the algorithm's files that the receiver may have, by asset name.

    Returns:
        The names of the parts in the file.

    Raises:
        InputError: a file is not what the manifest says, or cannot be read or written.
    """
    own = manifest.algorithm
    added: list[tuple[Asset, Path]] = []
    packages = None if bundle is None else Path(bundle)
    if algorithm is not None:
        added += [(own.asset, Path(algorithm)), *find_bundle(own, Path(algorithm), packages)]
    elif packages is not None:
        added += find_bundle(own, packages, packages)
    known = {asset.name: asset for asset in own.files}
    for name, path in (files or {}).items():
        if name not in known:
            raise InputError(
                f"The manifest has no file {name!r} of the algorithm; it has: {', '.join(known) or 'none'}.",
                hint="Data are never exported: only the algorithm's own files.",
            )
        added.append((known[name], Path(path)))
    parts: list[tuple[str, Path | bytes]] = [(MANIFEST, manifest.encode())]
    for asset, path in added:
        check_asset(asset, path)
        parts.append((ASSETS + asset.name, path))
    said = {path.name: _rule(path) for path in map(Path, rules)}
    if len(said) != len(rules) or len(rules) > MAX_RULES:
        raise InputError(f"Rules must be at most {MAX_RULES} files with different names.")
    parts += [(RULES + name, data) for name, data in said.items()]
    if policy is not None:
        parts.append((POLICY, policy.encode()))
    origin = {
        "version": 1,
        "workspace": policy.boot_configuration.workspace if policy else None,
        "images": [
            {"flavor": image.flavor, "digest": image.manifest_digest.hex()}
            for image in (policy.images if policy else ())
        ],
        "digests": {name: hashlib.sha256(part).hexdigest() for name, part in parts if isinstance(part, bytes)},
    }
    parts.append((ORIGIN, canonical.encode(origin)))
    with userfile.replacing(Path(output)) as part, part.open("xb") as file:
        archive.write_zip(file, parts)
    return tuple(sorted(name for name, _ in parts))


def _rule(path: Path) -> bytes:
    try:
        data = userfile.read(path, MAX_DOCUMENT)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    if len(data) > MAX_DOCUMENT:
        raise InputError(f"{path} has more than {MAX_DOCUMENT} bytes: it is not a rule.")
    return data


def open_package(path: Path) -> ComputationPackage:
    """Read and verify an exported computation. Raises InputError, and ChangedFileError when a part was changed."""
    try:
        with userfile.open_regular(path) as file:
            if file.read(2) != b"PK":
                raise InputError(f"{path} is not an exported computation.", hint="`export` writes one.")
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    members = archive.check_zip(path)
    with zipfile.ZipFile(path) as packed:
        origin = canonical.parse_canonical(_read(packed, ORIGIN, MAX_SIZE), what=f"{path}: {ORIGIN}", limit=MAX_SIZE)
        schema.validate("client/origin", origin, what=f"{path}: {ORIGIN}")
        manifest = Manifest.parse(_read(packed, MANIFEST, MAX_SIZE))
        known = {ASSETS + asset.name: asset for asset in manifest.assets() if asset.kind != "dataset"}
        # By name first: what is read is held in memory, and the file may have 10,000 parts.
        named = {name for name in members if name != ORIGIN and name not in known}
        for name in sorted(named):
            if name not in (MANIFEST, POLICY) and (not name.startswith(RULES) or "/" in name.removeprefix(RULES)):
                raise ChangedFileError(f"{path} has a part that no exported computation has: {json.dumps(name)}.")
        if named != origin["digests"].keys():
            raise ChangedFileError(f"{path} has other parts than its {ORIGIN} names.")
        if len(named) > MAX_RULES + 2:
            raise ChangedFileError(f"{path} has more than {MAX_RULES} rules.")
        documents = {name: _read(packed, name, MAX_DOCUMENT) for name in named}
        if {name: hashlib.sha256(data).hexdigest() for name, data in documents.items()} != origin["digests"]:
            raise ChangedFileError(f"{path} has other parts than its {ORIGIN} names.")
        assets = [known[name] for name in members if name in known]
        for asset in assets:
            _require_asset(packed, ASSETS + asset.name, asset)
    rules = {name.removeprefix(RULES): data for name, data in documents.items() if name.startswith(RULES)}
    return ComputationPackage(path, manifest, origin, documents.get(POLICY), rules, tuple(assets))


def copy_asset(package: ComputationPackage, asset: Asset, target: Path) -> None:
    """Write an asset of a package to a new file. Raises OSError, ChangedFileError."""
    with zipfile.ZipFile(package.path) as packed, packed.open(ASSETS + asset.name) as source:
        state = hashlib.sha256()
        with target.open("xb") as file:
            while data := source.read(_CHUNK):
                state.update(data)
                file.write(data)
    if state.hexdigest() != asset.digest:
        raise ChangedFileError(f"{package.path} changed while it was read.")


def _read(packed: zipfile.ZipFile, name: str, limit: int) -> bytes:
    try:
        info = packed.getinfo(name)
    except KeyError as error:
        raise InputError(
            f"{packed.filename} has no {name}: it is not an exported computation.", hint="`export` writes one."
        ) from error
    if info.file_size > limit:
        raise ChangedFileError(f"{name} in {packed.filename} has more than {limit} bytes.")
    return packed.read(name)


def _require_asset(packed: zipfile.ZipFile, name: str, asset: Asset) -> None:
    state, size = hashlib.sha256(), 0
    with packed.open(name) as source:
        while data := source.read(_CHUNK):
            state.update(data)
            size += len(data)
    if (state.hexdigest(), size) != (asset.digest, asset.size):
        raise ChangedFileError(
            f"{packed.filename}: {asset.name} is not what its manifest says (manifest: {asset.digest}, "
            f"there: {state.hexdigest()})."
        )
