"""Reads the files that are one piece of evidence."""

import re
from collections.abc import Sequence
from pathlib import Path

from cloister import userfile
from cloister.attestation.collateral_source import InMemory
from cloister.attestation.errors import MalformedEvidence
from cloister.attestation.evidence import Evidence
from cloister.attestation.raw.kinds import Raw
from cloister.client.collateral import content
from cloister.client.collateral.folder import ENDORSEMENT
from cloister.client.evidence.attestation_results import kind_of_result
from cloister.client.evidence.evidence_files import binary, encoding, json_forms
from cloister.client.evidence.evidence_files.parts import Parts
from cloister.client.evidence.evidence_files.source import DAMAGED, EvidenceFile
from cloister.errors import InputError
from cloister.protocol.canonical import FormatError

_MAX_FILES = 16
_CONTROLS = re.compile(rb"[^\t\n\r -\xff]")


def load(paths: Sequence[Path]) -> tuple[Evidence | Raw, InMemory]:
    """The evidence in ``paths``, and the collateral among them. Raises InputError for a file that is neither."""
    if len(paths) > _MAX_FILES:
        raise InputError(
            f"{len(paths)} files are too many for one piece of evidence; at most {_MAX_FILES} are supported."
        )
    parts = Parts()
    for path in paths:
        try:
            data = userfile.read(path, encoding.MAX_FILE)
        except OSError as error:
            raise userfile.unreadable(path, error) from error
        try:
            add(parts, data, EvidenceFile(path))
        except MalformedEvidence as error:
            raise InputError(f"{path} is malformed evidence: {error.place}.", hint=DAMAGED) from error
        except FormatError as error:
            raise InputError(f"{path} is malformed evidence: {error.message}", hint=DAMAGED) from error
    try:
        return parts.whole()
    except MalformedEvidence as error:
        raise InputError(f"The evidence is malformed: {error.place}.", hint=DAMAGED) from error


def add(parts: Parts, data: bytes, source: EvidenceFile) -> None:
    """Recognise one file and add what it has. Raises MalformedEvidence, FormatError, InputError."""
    if len(data) > encoding.MAX_FILE:
        raise InputError(f"{source.path} has more than {encoding.MAX_FILE} bytes.", hint="Name a smaller file.")
    if (result := kind_of_result(data)) is not None:
        raise InputError(
            f"{source.path} is {result}: it says what a verifier concluded, and is not evidence.",
            hint="Pass the evidence that it was made from, as the machine gave it.",
        )
    if source.path.suffix == ENDORSEMENT:
        parts.items.append(content.endorsement(data))
    elif _is_json(data):
        json_forms.add(parts, data, source)
    elif (decoded := encoding.decoded_file(data)) is not None:
        binary.add(parts, decoded, source.like("hex or base64"))
    else:
        binary.add(parts, data, source)


def _is_json(data: bytes) -> bool:
    """Whether it looks like a JSON object. One of 256 bare signatures begins with the same byte, but is not text."""
    return data.lstrip()[:1] == b"{" and _CONTROLS.search(data) is None
