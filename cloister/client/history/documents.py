"""Accepted policies and manifests by digest: what a later difference is compared with."""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from cloister.client.files import state
from cloister.errors import InputError
from cloister.protocol.manifest import MAX_SIZE

_FOLDER = "documents"
_MOST_KEPT = 256


def keep_document(history: Path, digest: str, content: bytes) -> None:
    """Keep a document below the folder of histories; the oldest of too many are deleted. Raises InputError."""
    at = history / _FOLDER / f"{digest}.json"
    state.write(at, content)
    with contextlib.suppress(OSError):
        found = sorted(at.parent.glob("*.json"), key=lambda one: one.stat().st_mtime, reverse=True)
        for one in found[_MOST_KEPT:]:
            one.unlink(missing_ok=True)


def kept_document(history: Path, digest: str) -> Any:
    """The value of a document; None if it is no longer kept, or was changed."""
    data = kept_bytes(history, digest)
    return None if data is None else json.loads(data)


def kept_bytes(history: Path, digest: str) -> bytes | None:
    """A document; None if it is no longer kept, or was changed."""
    try:
        data = state.read(history / _FOLDER / f"{digest}.json", MAX_SIZE)
    except InputError:
        return None
    return data if data is not None and hashlib.sha256(data).hexdigest() == digest else None
