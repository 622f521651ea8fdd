"""An author's manifest for a trial: with mock data instead of the providers' files, and without keys."""

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cloister.client.computation.algorithm_files import asset_names
from cloister.client.computation.asset import bare_name, describe_asset
from cloister.client.computation.author_file import read_source
from cloister.client.computation.manifest_source import AuthorManifest, finish
from cloister.client.script.algorithm import ProgramFindings
from cloister.client.trial.program import NO_DIGEST, no_key
from cloister.errors import InputError
from cloister.protocol import names
from cloister.protocol.document import Document, Place
from cloister.protocol.manifest import ALGORITHM, BUNDLE, Manifest


def compose_trial(
    path: Path,
    data: Mapping[str, Path],
    packages: Mapping[str, str] = MappingProxyType({}),
    notes: list[str] | None = None,
    warnings: list[str] | None = None,
) -> tuple[Manifest, dict[str, Path]]:
    """The manifest of a trial and the path of each asset, from the author's file and mock data by dataset.

    ``packages`` are those of the image, empty if they are not known. What the author should know is added to ``notes``,
    what may fail to ``warnings``, in sentences.

    Raises InputError with file and line, for example for a dataset without data.
    """
    document = read_source(path)
    listed = [entry["name"] for entry in document.value["datasets"]]
    for name in data:
        if name not in listed:
            known = f"its datasets are {', '.join(listed)}" if listed else "it has none"
            raise InputError(f"{path} has no dataset {name!r}: {known}.", hint="Write --data NAME=PATH.")
    author = _TrialManifest(path, document, data)
    author.packages, author.own_image = packages, True
    manifest = finish(author)
    if notes is not None:
        notes += author.notes
    if warnings is not None:
        warnings += author.warnings
    return manifest, author.paths


class _TrialManifest(AuthorManifest):
    """The author's file with mock data. Digests are not computed, and the keys are those of no one."""

    def __init__(self, path: Path, document: Document, data: Mapping[str, Path]) -> None:
        super().__init__(path, document, secrets.token_hex(16))
        self._data = data
        datasets = [entry["name"] for entry in document.value["datasets"]]
        self._files = asset_names(document.value["algorithm"].get("files", []), datasets)
        self.paths: dict[str, Path] = {}

    def key(self, name: str, text: str) -> str:
        """A new key: the parties of a trial are not asked for theirs."""
        return no_key()

    def dataset(self, index: int, data: dict[str, Any]) -> dict[str, Any]:
        """A dataset with the sizes of its mock data."""
        place = ("datasets", index)
        unpack = data.get("unpack", False)
        made = {
            "name": data["name"],
            "provider": data["provider"],
            "unpack": unpack,
            **self.file(place, data),
        }
        self.note_packed(place, data, self.paths[data["name"]])
        # Reads the archive as the sandbox will.
        found = describe_asset(self.paths[data["name"]], unpack=True) if unpack else None
        if found is None or found.unpacked_size is None:
            return made
        self.beyond += found.beyond(found.unpacked_size)
        return made | {"unpacked_size": found.unpacked_size}

    def file(self, place: Place, entry: dict[str, Any], *, unpack: bool = False) -> dict[str, Any]:
        """Name and size of an asset, whose path is noted. The author's size and digest are those of the real data."""
        where = (*place, "file") if (*place, "file") in self.document.lines else place
        name = self._name(place)
        path = self._data.get(name) or self.path(where, entry["file"])
        if not path.exists():
            raise self._missing(where, name, path, entry["file"])
        self.paths[name] = path
        size = path.stat().st_size
        # A folder of mock data has the name of the tar that its provider uploads.
        file = bare_name(path) if path.is_dir() and name not in self._data else Path(entry["file"]).name
        return {"file": file, "digest": NO_DIGEST, "size": size}

    def examine(self, algorithm: dict[str, Any]) -> ProgramFindings:
        """As for a machine; but the trial's manifest names no packages of an image."""
        return replace(super().examine(algorithm), image_packages={})

    def note_counted(self, bundle: Path, counted: Mapping[str, str]) -> None:
        """Nothing: the trial shows whether its image has them."""

    def _name(self, place: Place) -> str:
        """The name of the asset at ``place`` in the author's file."""
        if place[0] == "datasets":
            return str(self.document.value["datasets"][place[1]]["name"])
        if place[:2] == ("algorithm", "files"):
            return self._files[int(place[2])]
        return BUNDLE if place[-1] == BUNDLE else ALGORITHM

    def _missing(self, where: Place, name: str, path: Path, file: str) -> InputError:
        if name in self._data:
            return InputError(f"{path} does not exist.", hint=f"Name harmless data for {name}: --data {name}=PATH.")
        if where[0] != "datasets":
            hint = "A trial needs the algorithm, its files and its bundle; `bundle` makes the latter."
            return self.document.error(where, f"{names.shown(file)} is not here.", hint)
        without = [data["name"] for data in self.document.value["datasets"] if not self._is_here(data)]
        options = " ".join(f"--data {one}=PATH" for one in without)
        return self.document.error(
            where, f"{names.shown(file)} is not here.", f"Name harmless data of the same form: {options}."
        )

    def _is_here(self, data: dict[str, Any]) -> bool:
        return data["name"] in self._data or self.path(("datasets",), data["file"]).exists()
