"""From the manifest that an author writes to its canonical form, with digests and sizes in place of paths.

The author's form is docs/schemas/manifest-source.schema.json: YAML or JSON, paths relative to the file's folder. An
asset that the author does not have stands there with the digest and size that its provider says (`checksum`).
"""

import re
import secrets
from pathlib import Path
from typing import Any

import fastjsonschema

from cloister import userfile
from cloister.client.computation import asset as assets
from cloister.client.files import document_type, keys, units
from cloister.errors import InputError
from cloister.protocol import canonical, schema
from cloister.protocol.document import MAX_SIZE as MAX_DOCUMENT
from cloister.protocol.document import Document, Place
from cloister.protocol.manifest import KINDS, MAX_SIZE, Manifest

_PLACE = re.compile(r"The manifest: ([A-Za-z0-9_.-]+) ")


def load(path: Path) -> Manifest:
    """The canonical manifest at ``path``. Raises InputError."""
    try:
        # A newline at the end is what editors and `echo` leave; it is no part of the canonical form.
        data = userfile.read(path, MAX_SIZE + 1).removesuffix(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", hint="`manifest` writes one.") from error
    try:
        return Manifest.parse(data)
    except canonical.FormatError as error:
        hint = f"`manifest {path}` writes the canonical form." if path.suffix in (".yaml", ".yml") else ""
        raise document_type.mistaken(path, data, document_type.COMPUTATION, error, hint=hint) from error


def written(path: Path) -> Manifest | None:
    """What an earlier call wrote to ``path``; None when nothing is there, or nothing in it.

    Raises InputError for anything else, which is not to be overwritten.
    """
    try:
        data = userfile.read(path, MAX_SIZE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error
    if not data:
        return None
    try:
        return Manifest.parse(data.removesuffix(b"\n"))
    except canonical.FormatError as error:
        found = document_type.of(data) or f"not {document_type.COMPUTATION}"
        raise InputError(
            f"{path} exists and is {found}; it is not overwritten.", hint="Name another file with --output."
        ) from error


def compose(path: Path, before: Manifest | None = None) -> Manifest:
    """The canonical manifest of the author's file at ``path``, with the id of ``before`` unless the author gives one.

    Raises InputError that names file and line.
    """
    document = _read(path)
    try:
        schema.validate("manifest-source", document.value, what="The manifest")
    except canonical.FormatError as error:
        raise _located(document, error) from error
    value = _Author(path, document, before.id if before else secrets.token_hex(16)).canonical()
    try:
        manifest = Manifest.from_value(value)
    except canonical.FormatError as error:
        raise _located(document, error) from error
    if len(manifest.encode()) > MAX_SIZE:
        raise InputError(f"{path}: the canonical form would have more than {MAX_SIZE} bytes.")
    return manifest


def differing(one: Manifest, other: Manifest) -> tuple[str, ...]:
    """The members in which two manifests differ."""
    first, second = one.value(), other.value()
    return tuple(name for name in first if first[name] != second[name])


def _read(path: Path) -> Document:
    try:
        data = userfile.read(path, MAX_DOCUMENT)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if found := document_type.of(data):
        raise InputError(f"{path} is {found}, not {document_type.COMPUTATION} as its author writes it.")
    return Document.parse(str(path), data)


def _located(document: Document, error: canonical.FormatError) -> InputError:
    """The same error with file and line, found by what it says about the place."""
    cause = error.__cause__
    place: Place = ()
    if isinstance(cause, fastjsonschema.JsonSchemaValueException):
        place = tuple(int(part) if str(part).isdigit() else part for part in cause.path[1:])
        if (unknown := schema.unknown_member(cause)) is not None:
            place = (*place, unknown)
    elif found := _PLACE.match(error.message):
        place = tuple(found[1].split("."))
        if place[:1] == ("datasets",) and len(place) > 1:
            names = [data.get("name") for data in document.value["datasets"]]
            place = ("datasets", names.index(place[1]), *place[2:]) if place[1] in names else place[:1]
    message = error.message.removeprefix("The manifest: ")
    return canonical.FormatError(f"{document.name}:{document.line(place)}: {message}", hint=error.hint)


class _Author:
    """Fills in what the canonical form wants, with the author's file at hand for errors."""

    def __init__(self, path: Path, document: Document, id: str) -> None:
        self._id = id
        self._document = document
        self._folder = path.resolve().parent
        self._value: dict[str, Any] = document.value

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
            "datasets": [self._dataset(index, data) for index, data in enumerate(value["datasets"])],
            "results": {
                "consumers": value["results"]["consumers"],
                "expires": self._duration("results", "expires"),
                "max": self._size("results", "max"),
            },
            "logs": {**logs, "max": self._quantity(("logs", "max"), units.parse_size, logs["max"])},
            "limits": {
                "time": self._duration("limits", "time"),
                "memory": self._size("limits", "memory"),
                "cpus": value["limits"]["cpus"],
                "processes": value["limits"]["processes"],
            },
        }

    def _names_once(self) -> None:
        seen: dict[str, int] = {}
        for index, data in enumerate(self._value["datasets"]):
            name = data["name"]
            if name in seen:
                line = self._document.line(("datasets", seen[name], "name"))
                raise self._document.error(("datasets", index, "name"), f"{name!r} is the name on line {line} too.")
            seen[name] = index

    def _parties(self, parties: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        holders: dict[str, str] = {}
        for name, party in parties.items():
            text = self._key(name, party["key"])
            if text in holders:
                line = self._document.line(("parties", holders[text]))
                problem = f"{name} and {holders[text]} (line {line}) have the same key."
                raise self._document.error(("parties", name, "key"), problem)
            holders[text] = name
            made[name] = {"key": text}
        return made

    def _key(self, name: str, text: str) -> str:
        place = ("parties", name, "key")
        if text.startswith("-----BEGIN"):
            spki = keys.parse_public(text.encode(), what=f"{self._document.name}:{self._document.line(place)}: the key")
        else:
            path = self._path(place, text)
            try:
                spki = keys.load_public(path)
            except InputError as error:
                raise self._document.error(place, error.message, error.hint) from error
        return canonical.to_base64(spki)

    def _algorithm(self, algorithm: dict[str, Any]) -> dict[str, Any]:
        self._runs(algorithm)
        made: dict[str, Any] = {
            "provider": algorithm["provider"],
            "kind": algorithm["kind"],
            "args": algorithm.get("args", []),
            "environment": algorithm.get("environment", {}),
            **self._file(("algorithm",), algorithm),
        }
        bundle = algorithm.get("bundle")
        if isinstance(bundle, str):
            made["bundle"] = self._file(("algorithm", "bundle"), {"file": bundle})
        elif bundle is not None:
            made["bundle"] = self._file(("algorithm", "bundle"), bundle)
        return made

    def _runs(self, algorithm: dict[str, Any]) -> None:
        """Raises InputError for what would be refused, or fail, only after everybody has consented."""
        if algorithm["kind"] not in KINDS:
            problem = f"no agent runs an algorithm of kind {algorithm['kind']}."
            raise self._document.error(("algorithm", "kind"), problem, "Write `kind: python`.")
        path = self._path(("algorithm", "file"), algorithm["file"])
        if path.is_dir():
            raise self._document.error(
                ("algorithm", "file"),
                f"{algorithm['file']} is a folder; an algorithm of kind {algorithm['kind']} is one file.",
                "Name the program itself, and a bundle for the packages that it needs.",
            )

    def _dataset(self, index: int, data: dict[str, Any]) -> dict[str, Any]:
        place = ("datasets", index)
        made = {
            "name": data["name"],
            "provider": data["provider"],
            "unpack": data.get("unpack", False),
            **self._file(place, data),
        }
        if "unpacked_size" in data:
            made["unpacked_size"] = self._quantity((*place, "unpacked_size"), units.parse_size, data["unpacked_size"])
        elif made["unpack"]:
            path = self._path((*place, "file"), data["file"])
            if not path.exists():
                raise self._document.error(place, "unpacked_size is missing: how many bytes is it when unpacked?")
            made["unpacked_size"] = assets.unpacked_size(path)
        return made

    def _file(self, place: Place, entry: dict[str, Any]) -> dict[str, Any]:
        """Bare name, digest and size of a file: from the file, or from what the author says about one not at hand."""
        where = (*place, "file") if (*place, "file") in self._document.lines else place
        path = self._path(where, entry["file"])
        said = entry.get("digest")
        size = self._quantity((*place, "size"), units.parse_size, entry["size"]) if "size" in entry else None
        if not path.exists():
            if said is None or size is None:
                missing = "its digest" if said is None else "its size"
                raise self._document.error(
                    where,
                    f"{entry['file']} is not here, and {missing} is not given.",
                    f"Ask its provider for the output of `checksum {entry['file']}`.",
                )
            return {"file": path.name, "digest": said, "size": size}
        try:
            found = assets.digest(path)
        except InputError as error:
            raise self._document.error(where, error.message, error.hint) from error
        if said is not None and said != found.digest:
            raise self._document.error((*place, "digest"), f"expected {said}, but {path.name} has {found.digest}.")
        if size is not None and size != found.size:
            raise self._document.error((*place, "size"), f"expected {size} bytes, but {path.name} has {found.size}.")
        return {"file": found.file, "digest": found.digest, "size": found.size}

    def _path(self, place: Place, text: str) -> Path:
        path = self._folder / text
        if Path(text).is_absolute() or not path.resolve().is_relative_to(self._folder):
            raise self._document.error(
                place,
                f"{text!r} leaves the folder of the manifest.",
                "Name files by paths inside that folder; copy or move what lies elsewhere.",
            )
        return path

    def _size(self, section: str, name: str) -> int:
        return self._quantity((section, name), units.parse_size, self._value[section][name])

    def _duration(self, section: str, name: str) -> int:
        return self._quantity((section, name), units.parse_duration, self._value[section][name])

    def _quantity(self, place: Place, parse: Any, text: str | int) -> int:
        try:
            return int(parse(text))
        except InputError as error:
            raise self._document.error(place, error.message, error.hint) from error
