"""What a document is that somebody named for another one: two of them are called manifest."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloister.attestation.policy.policy import Policy
from cloister.errors import InputError
from cloister.protocol.descriptor import Descriptor
from cloister.protocol.imagemanifest import ImageManifest
from cloister.protocol.manifest import Manifest

COMPUTATION = "the manifest of a computation"
IMAGE = "the manifest of an image"

_KINDS: dict[str, Callable[[bytes], Any]] = {
    COMPUTATION: Manifest.parse,
    IMAGE: ImageManifest.parse,
    "a policy": Policy.parse,
    "a workspace descriptor": Descriptor.parse,
}


def of(data: bytes) -> str:
    """The kind of a JSON document, empty for none that is known."""
    if data.lstrip()[:1] == b"{":
        for kind, parse in _KINDS.items():
            with suppress(InputError):
                parse(data)
                return kind
    return ""


def mistaken(path: Path, data: bytes, wanted: str, error: InputError, *, hint: str = "") -> InputError:
    """The error to raise for ``data``, which ``error`` says is not ``wanted``: with what it is instead, if known."""
    if found := of(data):
        return InputError(f"{path} is {found}, not {wanted}.")
    return InputError(f"{path}: {error.message}", hint=hint or error.hint)
