"""From an author's manifest to its canonical form, with digests and sizes in place of paths.

The author's form is docs/schemas/manifest-source.schema.json: YAML or JSON, paths relative to the file's folder. An
asset that the author does not have is described by the digest and size that its provider reports (`checksum`).

Long because each member of the author's form has its own messages, which name the line.
"""

import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloister.client.computation.algorithm_files import BASES, asset_names, examine_written
from cloister.client.computation.asset import describe_asset
from cloister.client.computation.author_file import located, read_source
from cloister.client.packages import image_packages
from cloister.client.packages.memory import NotEnoughMemory, require_memory
from cloister.client.script.algorithm import ProgramFindings
from cloister.client.script.python import UnusableBundle
from cloister.errors import InputError
from cloister.keyfile.content import is_inline
from cloister.keyfile.public import parse_public_key, read_public_key
from cloister.protocol import canonical, names, placement
from cloister.protocol.document import Document, Place
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.manifest import MAX_SIZE, DeclaredContainer, Manifest
from cloister.protocol.wheels.errors import BundleError
from cloister.units import parse_duration, parse_size

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def compose_manifest(
    path: Path,
    before: Manifest | None = None,
    notes: list[str] | None = None,
    warnings: list[str] | None = None,
    image: ImageManifest | None = None,
) -> Manifest:
    """The canonical manifest of the author's file at ``path``, with the id of ``before`` unless the author sets one.

    ``image`` is the image that will run it, if the author names one. What the author should know is added to ``notes``,
    what may fail in the guest to ``warnings``, in sentences. Raises InputError with file and line.
    """
    document = read_source(path)
    author = AuthorManifest(path, document, before.id if before else secrets.token_hex(16), image)
    manifest = finish(author)
    if notes is not None:
        notes += author.notes
    if warnings is not None:
        warnings += author.warnings
    return manifest


def finish(author: "AuthorManifest") -> Manifest:
    """The canonical manifest of what an author wrote. Raises InputError with file and line."""
    value = author.canonical()
    try:
        manifest = Manifest.from_value(value)
    except canonical.FormatError as error:
        raise located(author.document, error) from error
    author.require_memory(manifest)
    if len(manifest.encode()) > MAX_SIZE:
        raise InputError(f"{author.document.name}: the canonical form is larger than {MAX_SIZE} bytes.")
    return manifest


class AuthorManifest:
    """The author's file on its way to the canonical form; errors name its lines."""

    def __init__(self, path: Path, document: Document, id: str, image: ImageManifest | None = None) -> None:
        self._id = id
        self.document = document
        self._folder = path.resolve().parent
        self._value: dict[str, Any] = document.value
        self._image = image
        self.packages: Mapping[str, str] = {} if image is None else image.packages
        """Python packages of the image that will run it, by normalised name; empty if it is not known."""
        self.own_image = image is not None and image.flavor not in BASES
        """Whether the image may have more libraries than the base image."""
        self.notes: list[str] = []
        self.warnings: tuple[str, ...] = ()
        self._bundle_size = 0
        self.beyond = 0
        """Bytes of memory that unpacked datasets take beyond their ``unpacked_size``."""

    def canonical(self) -> dict[str, Any]:
        """The JSON value of the canonical form."""
        self._names_once()
        value = self._value
        logs = {"readers": [], "max": "64KiB", "release": "end", **value.get("logs", {})}
        return {
            "version": 1,
            "id": value.get("id") or self._id,
            "name": value["name"],
            "description": value.get("description", ""),
            "parties": self._parties(value["parties"]),
            "algorithm": self._algorithm(value["algorithm"]),
            "datasets": [self.dataset(index, data) for index, data in enumerate(value["datasets"])],
            "results": {
                "consumers": value["results"]["consumers"],
                "expires": self._duration("results", "expires"),
                "max": self._size("results", "max"),
                **({"approval": value["results"]["approval"]} if "approval" in value["results"] else {}),
            },
            "logs": {**logs, "max": self._quantity(("logs", "max"), parse_size, logs["max"])},
            "limits": {
                "time": self._duration("limits", "time"),
                "memory": self._size("limits", "memory"),
                "cpus": value["limits"]["cpus"],
                "processes": value["limits"]["processes"],
                **({"scratch": self._size("limits", "scratch")} if "scratch" in value["limits"] else {}),
            },
        }

    def require_memory(self, manifest: Manifest) -> None:
        """Refuse a limit that cannot hold what is unpacked, and warn of one that hardly does."""
        try:
            tight = require_memory(manifest.limits, manifest.results.max_size, self._bundle_size, self.beyond)
        except NotEnoughMemory as error:
            raise self.document.error(("limits", "memory"), error.message, error.hint) from error
        self.warnings += (tight,) if tight else ()

    def _names_once(self) -> None:
        seen: dict[str, int] = {}
        for index, data in enumerate(self._value["datasets"]):
            name = data["name"]
            if name in seen:
                line = self.document.line(("datasets", seen[name], "name"))
                raise self.document.error(("datasets", index, "name"), f"{name!r} is already the name on line {line}.")
            seen[name] = index

    def _parties(self, parties: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        holders: dict[str, str] = {}
        for name, party in parties.items():
            text = self.key(name, party["key"])
            if text in holders:
                line = self.document.line(("parties", holders[text]))
                problem = f"{name} and {holders[text]} (line {line}) have the same key."
                raise self.document.error(("parties", name, "key"), problem)
            holders[text] = name
            made[name] = {"key": text}
        return made

    def key(self, name: str, text: str) -> str:
        """The key of a party, in base64."""
        place = ("parties", name, "key")
        if is_inline(text):
            key = parse_public_key(text.encode(), what=f"{self.document.name}:{self.document.line(place)}: the key")
        else:
            path = self.path(place, text)
            try:
                key = read_public_key(path)
            except InputError as error:
                raise self.document.error(place, error.message, error.hint) from error
        if key.note:
            self.notes.append(key.note)
        return canonical.to_base64(key.spki)

    def _algorithm(self, algorithm: dict[str, Any]) -> dict[str, Any]:
        self._runs(algorithm)
        made: dict[str, Any] = {
            "provider": algorithm["provider"],
            "kind": algorithm["kind"],
            "args": algorithm.get("args", []),
            "environment": algorithm.get("environment", {}),
            **self.file(("algorithm",), algorithm),
        }
        bundle = algorithm.get("bundle")
        if isinstance(bundle, str):
            made["bundle"] = self.file(("algorithm", "bundle"), {"file": bundle})
        elif bundle is not None:
            made["bundle"] = self.file(("algorithm", "bundle"), bundle)
        if algorithm.get("files"):
            named = asset_names(algorithm["files"], [data["name"] for data in self._value["datasets"]])
            made["files"] = [
                {"name": named[index], "at": entry["at"], **self._algorithm_file(index, entry)}
                for index, entry in enumerate(algorithm["files"])
            ]
        counted = self._bundle_counts_on(made.get("bundle"), bundle)
        found = self.examine(algorithm)
        counted |= dict(found.image_packages)
        if counted:
            made["image_packages"] = counted
        if algorithm["kind"] == "oci" or "container" in algorithm:
            made["container"] = self._container(algorithm, found.container)
        return made

    def _bundle_counts_on(self, made: dict[str, Any] | None, bundle: Any) -> dict[str, str]:
        """The packages of the image that the bundle counts on, if it is here. Raises InputError if it has not them."""
        path = None if made is None else self._folder / (bundle if isinstance(bundle, str) else bundle["file"])
        if path is None or not path.is_file():
            return {}
        try:
            counted = image_packages.of_bundle(path)
            if self._image is not None:
                image_packages.require(counted, self._image, f"The bundle {names.shown(path.name)}")
        except BundleError:
            return {}  # the examination of the program says what is wrong
        except InputError as error:
            raise self.document.error(("algorithm", "bundle"), error.message, error.hint) from error
        if counted and self._image is None:
            self.note_counted(path, counted)
        return counted

    def note_counted(self, bundle: Path, counted: Mapping[str, str]) -> None:
        """Note the packages that a bundle counts on, if the author names no image to compare them with."""
        self.notes.append(
            f"The bundle {names.shown(bundle.name)} counts on packages of an image: "
            f"{', '.join(sorted(counted)[:8])}. Pass --image with that image's manifest to check that it has them."
        )

    def _container(self, algorithm: dict[str, Any], found: DeclaredContainer | None) -> dict[str, Any]:
        """The image of kind oci: as it was found, or as the author says when the file is not here."""
        if found is not None:
            return {"digest": found.digest, "unpacked_size": found.unpacked_size}
        stated = algorithm.get("container")
        if stated is None:
            raise self.document.error(
                ("algorithm", "file"),
                f"{names.shown(algorithm['file'])} is not here, and algorithm.container is missing.",
                f"Ask its provider for the output of `checksum --kind oci {shlex.quote(algorithm['file'])}`.",
            )
        size = self._quantity(("algorithm", "container", "unpacked_size"), parse_size, stated["unpacked_size"])
        return {"digest": stated["digest"], "unpacked_size": size}

    def examine(self, algorithm: dict[str, Any]) -> ProgramFindings:
        """Refuse a program that the guest cannot run, if it is here, and set the warnings about what may fail.

        Returns the findings: also the packages of the image that the program imports, and the image of kind oci.
        """
        try:
            found = examine_written(algorithm, self._folder, self.packages, own_image=self.own_image)
        except UnusableBundle as error:
            raise self.document.error(("algorithm", "bundle"), error.message, error.hint) from error
        except InputError as error:
            raise self.document.error(("algorithm", "file"), error.message, error.hint) from error
        self.warnings += found.warnings
        self._bundle_size = found.unpacked_size
        return found

    def _algorithm_file(self, index: int, entry: dict[str, Any]) -> dict[str, Any]:
        place = ("algorithm", "files", index)
        if (why := names.path_problem(entry["at"])) is not None:
            hint = f"Write the path of the file below {placement.WORK}, like weights/model.pth."
            raise self.document.error((*place, "at"), f"{names.shown(entry['at'])} {why}.", hint)
        if self.path((*place, "file"), entry["file"]).is_dir():
            raise self.document.error(
                (*place, "file"),
                f"{names.shown(entry['file'])} is a folder; an entry of algorithm.files is one file.",
                "Name each of its files, or make the folder a dataset with `unpack: true`.",
            )
        return self.file(place, entry)

    def _runs(self, algorithm: dict[str, Any]) -> None:
        """Raise InputError for what the agent would refuse only later, after all parties have consented."""
        path = self.path(("algorithm", "file"), algorithm["file"])
        if path.is_dir() and algorithm["kind"] != "oci":
            raise self.document.error(
                ("algorithm", "file"),
                f"{algorithm['file']} is a folder; an algorithm of kind {algorithm['kind']} is one file.",
                "Name the program itself, and a bundle for the packages that it needs.",
            )

    def dataset(self, index: int, data: dict[str, Any]) -> dict[str, Any]:
        """The canonical form of a dataset."""
        place = ("datasets", index)
        made = {
            "name": data["name"],
            "provider": data["provider"],
            "unpack": data.get("unpack", False),
            **self.file(place, data, unpack=data.get("unpack", False)),
        }
        self.note_packed(place, data, self._folder / data["file"])
        found = made.get("unpacked_size")
        in_memory = made.pop("in_memory", 0)
        if "unpacked_size" in data:
            stated = self._quantity((*place, "unpacked_size"), parse_size, data["unpacked_size"])
            if found is not None and stated < found:
                raise self.document.error(
                    (*place, "unpacked_size"), f"expected at least {found} bytes, which the files have; found {stated}."
                )
            made["unpacked_size"] = stated
        elif made["unpack"] and found is None:
            raise self.document.error(
                place,
                "unpacked_size is missing, and the file is not here to compute it.",
                f"Ask its provider for the output of `checksum {shlex.quote(data['file'])}`.",
            )
        self.beyond += max(0, in_memory - made["unpacked_size"]) if in_memory else 0
        return made

    def note_packed(self, place: Place, data: dict[str, Any], path: Path) -> None:
        """Note a folder or archive at ``path`` that the program finds packed, unless the author says `unpack`."""
        if "unpack" in data:
            return
        if path.is_dir():
            found = f"{names.shown(data['file'])} is a folder, and the program finds one tar of it"
        elif data["file"].lower().endswith(_ARCHIVES):
            found = f"the program finds {names.shown(data['file'])} packed"
        else:
            return
        where = f"{self.document.name}:{self.document.line(place)}: {data['name']}"
        self.notes.append(f"{where}: {found}. Write `unpack: true` for its files, or `unpack: false` if that is meant.")

    def file(self, place: Place, entry: dict[str, Any], *, unpack: bool = False) -> dict[str, Any]:
        """Name, digest and size of a file: computed, or as the author says when the file is not here.

        Also the unpacked size and what it takes in memory, of a file that is here, for the sandbox to unpack.
        """
        where = (*place, "file") if (*place, "file") in self.document.lines else place
        path = self.path(where, entry["file"])
        stated = entry.get("digest")
        size = self._quantity((*place, "size"), parse_size, entry["size"]) if "size" in entry else None
        if not path.exists():
            if stated is None or size is None:
                missing = "its digest" if stated is None else "its size"
                raise self.document.error(
                    where,
                    f"{names.shown(entry['file'])} is not here, and {missing} is missing.",
                    f"Ask its provider for the output of `checksum {shlex.quote(entry['file'])}`.",
                )
            return {"file": path.name, "digest": stated, "size": size}
        try:
            found = describe_asset(path, unpack=unpack)
        except InputError as error:
            raise self.document.error(where, error.message, error.hint) from error
        if stated is not None and stated != found.digest:
            raise self.document.error((*place, "digest"), f"expected {stated}, but {path.name} has {found.digest}.")
        if size is not None and size != found.size:
            raise self.document.error((*place, "size"), f"expected {size} bytes, but {path.name} has {found.size}.")
        if said := found.warning:
            self.notes.append(f"{self.document.name}:{self.document.line(where)}: {said}")
        made: dict[str, Any] = {"file": found.file, "digest": found.digest, "size": found.size}
        if found.unpacked_size is None:
            return made
        return made | {"unpacked_size": found.unpacked_size, "in_memory": found.in_memory}

    def path(self, place: Place, text: str) -> Path:
        """The path of a file that the author names."""
        for part in Path(text).parts:
            if part not in ("..", "/") and (why := names.problem(part)) is not None:
                raise self.document.error(place, f"the name {names.shown(part)} {why}.", "Rename the file or folder.")
        path = self._folder / text
        if Path(text).is_absolute() or not path.resolve().is_relative_to(self._folder):
            raise self.document.error(
                place,
                f"{text!r} is outside the folder of the manifest.",
                "Name files by paths inside that folder; copy or move other files there.",
            )
        return path

    def _size(self, section: str, name: str) -> int:
        return self._quantity((section, name), parse_size, self._value[section][name])

    def _duration(self, section: str, name: str) -> int:
        return self._quantity((section, name), parse_duration, self._value[section][name])

    def _quantity(self, place: Place, parse: Any, text: str | int) -> int:
        try:
            return int(parse(text))
        except InputError as error:
            raise self.document.error(place, error.message, error.hint) from error
