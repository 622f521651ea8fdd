"""The files beside an algorithm (weights, tables, modules): their names as assets, and where they are."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cloister.client.computation.asset import describe_asset
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.manifest import ALGORITHM, BUNDLE, Algorithm, Asset

_LONGEST = 63


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
