"""The file in which an author writes a manifest: its form, and errors that name its lines."""

import re
from pathlib import Path

import fastjsonschema

from cloister import userfile
from cloister.client.computation import unknown_member
from cloister.client.files import document_type
from cloister.errors import InputError
from cloister.protocol import canonical, schema
from cloister.protocol.document import MAX_SIZE, Document, Place, place_of

_PLACE = re.compile(r"The manifest: ([A-Za-z0-9_.-]+) ")


def read_source(path: Path) -> Document:
    """The author's file, of the right form. Raises InputError with file and line."""
    try:
        data = userfile.read(path, MAX_SIZE)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    if found := document_type.of(data):
        raise InputError(
            f"{path} is {found}, not {document_type.COMPUTATION} as its author writes it.",
            hint="Name the file that its author wrote.",
        )
    document = Document.parse(str(path), data)
    try:
        schema.validate("manifest-source", document.value, what="The manifest")
    except canonical.FormatError as error:
        raise located(document, error) from error
    return document


def located(document: Document, error: canonical.FormatError) -> canonical.FormatError:
    """The error of a manifest with file and line of the author's form, derived from its message."""
    cause = error.__cause__
    place: Place = ()
    hint = error.hint
    if isinstance(cause, fastjsonschema.JsonSchemaValueException):
        if cause.rule == "type" and cause.rule_definition == "string":
            hint = "Put it in quotes."  # a name like 2024 or true
        place = place_of(cause.path[1:])
        if (unknown := schema.unknown_member(cause)) is not None:
            place = (*place, unknown)
            if known := cause.definition.get("properties"):
                hint = unknown_member.hint(unknown, known)
    elif found := _PLACE.match(error.message):
        place = tuple(found[1].split("."))
        if place[:2] == ("algorithm", "files"):
            place = place_of(place)
        if place[:1] == ("datasets",) and len(place) > 1:
            listed = [data.get("name") for data in document.value["datasets"]]
            place = ("datasets", listed.index(place[1]), *place[2:]) if place[1] in listed else place[:1]
    message = error.message.removeprefix("The manifest: ")
    return canonical.FormatError(f"{document.name}:{document.line(place)}: {message}", hint=hint)
