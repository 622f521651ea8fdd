"""The files beside an algorithm (weights, tables, modules): their names as assets, and where they are."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloister.client.computation.asset import LocalAsset, ReadProgress, describe_asset
from cloister.client.packages.image_packages import of_bundle
from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.client.script.examination import examine
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.manifest import ALGORITHM, BUNDLE, KINDS, Algorithm, Asset, DeclaredContainer, Manifest
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.image_packages import missing
from cloister.units import parse_size
from cloister.userfile import FilePath

_LONGEST = 63
BASES = ("base", "debug")
"""Flavors with the libraries that ``cloister.protocol.guest`` lists."""


def asset_names(entries: Sequence[Mapping[str, Any]], others: Collection[str]) -> list[str]:
    """The asset's name of each of ``algorithm.files``: as its author says, otherwise made from the end of ``at``.

    ``others`` are the datasets' names. ``models/ResNet18.pth`` becomes ``resnet18-pth``; a number makes it unique.
    """
    taken = {ALGORITHM, BUNDLE, *others, *(entry["name"] for entry in entries if "name" in entry)}
    found = []
    for entry in entries:
        name = entry.get("name") or _free(_slug(entry["at"]), taken)
        taken.add(name)
        found.append(name)
    return found


def find_bundle(algorithm: Algorithm, path: Path, given: Path | None) -> list[tuple[Asset, Path]]:
    """The bundle, if there is one: as given, otherwise beside the algorithm at ``path``. Raises InputError."""
    if algorithm.bundle is None:
        if given is not None:
            raise InputError("The manifest names no bundle.", hint="Omit --bundle, or agree on another manifest.")
        return []
    beside = path.parent / algorithm.bundle.file
    if given is None and not beside.exists():
        raise InputError(
            f"The manifest also names the bundle {names.shown(algorithm.bundle.file)}, which is not beside {path}.",
            hint="Name it with --bundle FILE.",
        )
    path = given or beside
    _counts_on_what_is_agreed(algorithm, path)
    return [(algorithm.bundle, path)]


def _counts_on_what_is_agreed(algorithm: Algorithm, bundle: Path) -> None:
    """Raise InputError for a bundle that counts on packages of an image that the manifest does not name.

    The parties have agreed to what the manifest says. What cannot be read is refused later, and with its reason.
    """
    try:
        counted = of_bundle(bundle)
    except (OSError, BundleError):
        return
    if said := missing(counted, algorithm.image_packages):
        raise InputError(
            f"The bundle {names.shown(bundle.name)} counts on packages of an image that the manifest does not name: "
            f"{said}.",
            hint="Agree on a manifest that its author writes with the bundle beside the algorithm, and with --image.",
        )


def find_files(algorithm: Algorithm, path: Path, given: Mapping[str, Path]) -> list[tuple[Asset, Path]]:
    """Each of the algorithm's files with its path: as given by asset name, otherwise beside the algorithm at ``path``.

    There, a file is where the manifest places it, or has the name that the manifest gives it. Raises InputError.
    """
    known = [asset.name for asset in algorithm.files]
    for name in given:
        if name not in known:
            raise InputError(
                f"The manifest has no file {name!r} of the algorithm; it has: {', '.join(known) or 'none'}."
            )
    return [(asset, given.get(asset.name) or _beside(asset, path)) for asset in algorithm.files]


def examine_written(
    algorithm: Mapping[str, Any], folder: Path, image: Mapping[str, str], *, own_image: bool
) -> ProgramFindings:
    """Examine the program of an author's manifest in ``folder``; nothing is found if it is not there.

    ``image`` has the packages of the image that will run it, if it is known; with ``own_image`` that may have more
    libraries than the base image. Raises InputError for a program that the guest cannot run, and UnusableBundle for a
    bundle that cannot be installed. Whether the bundle fits is left to the caller.
    """

    def here(file: str) -> Path | None:
        return folder / file if (folder / file).exists() else None

    if (path := here(algorithm["file"])) is None:
        return ProgramFindings()
    bundle = algorithm.get("bundle")
    program = Program(
        path,
        files={one["at"]: here(one["file"]) for one in algorithm.get("files", ())},
        environment=algorithm.get("environment", {}),
        args=tuple(algorithm.get("args", ())),
        container=_declared(algorithm.get("container")),
        bundle=None if bundle is None else here(bundle if isinstance(bundle, str) else bundle["file"]),
        has_bundle=bundle is not None,
        image=image,
        kind=algorithm["kind"],
        own_image=own_image,
    )
    return examine(program)


def _declared(container: Mapping[str, Any] | None) -> DeclaredContainer | None:
    """The image that an author declares, whose size may be text."""
    if container is None:
        return None
    return DeclaredContainer(container["digest"], parse_size(container["unpacked_size"]))


def describe_algorithm(
    path: FilePath, kind: str, progress: ReadProgress = lambda done: None
) -> tuple[LocalAsset, ProgramFindings]:
    """Compute what a manifest says about an algorithm, and examine it by the rules of its kind.

    Args:
        path: its file.
        kind: ``python``, ``binary``, ...
        progress: called with the number of bytes that were read so far.

    Returns:
        Name, digest and size, and the findings.

    Raises:
        InputError: there is no such kind, or the guest cannot run the file.
    """
    path = Path(path)
    if kind not in KINDS:
        raise InputError(f"There are no algorithms of kind {kind!r}.", hint=f"The kinds are {', '.join(KINDS)}.")
    found = examine(Program(path, files={}, environment={}, kind=kind, own_image=True))
    return describe_asset(path, progress, unpack=False), found


def program_of(manifest: Manifest, paths: Mapping[Asset, Path]) -> Program:
    """The program of a manifest whose assets are at ``paths``."""
    algorithm = manifest.algorithm
    return Program(
        paths[algorithm.asset],
        files={one.at: paths[one] for one in algorithm.files},
        environment=algorithm.environment,
        args=algorithm.args,
        container=algorithm.container,
        bundle=None if algorithm.bundle is None else paths[algorithm.bundle],
        has_bundle=algorithm.bundle is not None,
        image=algorithm.image_packages,
        kind=algorithm.kind,
        own_image=True,
    )


def _beside(asset: Asset, algorithm: Path) -> Path:
    places = tuple(dict.fromkeys((asset.at, asset.file)))
    tried = " or ".join(names.shown(place) for place in places)
    found = [path for place in places if (path := algorithm.parent / place).is_file()]
    if not found:
        raise InputError(
            f"The manifest also names the file {asset.name}, which is not beside {algorithm} (as {tried}).",
            hint=f"Name it with --file {asset.name}=PATH.",
        )
    return found[0] if len(found) == 1 or describe_asset(found[0]).digest == asset.digest else found[1]


def _slug(at: str) -> str:
    end = at.rstrip("/").rpartition("/")[2].lower()
    return re.sub(r"[^a-z0-9]+", "-", end)[:_LONGEST].strip("-") or "file"


def _free(name: str, taken: Collection[str]) -> str:
    number, free = 2, name
    while free in taken:
        free = f"{name[: _LONGEST - 1 - len(str(number))]}-{number}"
        number += 1
    return free
