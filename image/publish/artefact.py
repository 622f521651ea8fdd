"""What is published: one of the image's disks, and the name and digest that it has wherever it is."""

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from cloister import userfile
from image.build import output
from image.publish.errors import PublishError
from image.publish.naming import blob_name

MARK = "cloister_sha256"
"""The metadata of a blob or object that is whole and was checked: the SHA-256 of what is in it (lower-case hex)."""

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many bytes are done, and of how many."""

Bar: TypeAlias = Callable[[str, int], AbstractContextManager[Progress]]
"""Shows something that takes a while: what it is, and of how many bytes."""


@dataclass(frozen=True)
class Artefact:
    """The file ``path`` that is published as ``name``; SHA-256 (hex) and size are those of the image's manifest."""

    name: str
    path: Path
    sha256: str
    size: int

    @classmethod
    def find(cls, image: Path, suffix: str) -> Self:
        """The disk with ``suffix`` of the image in the folder ``image``. Raises ImageError."""
        manifest = output.read_manifest(image)
        name = f"disk{suffix}"
        found = manifest.outputs.get(name)
        if found is None:
            raise PublishError(
                f"The image in {image} has no {name}.",
                hint="It is older than that. Build it again: invoke image.build",
            )
        blob = blob_name(manifest.flavor, manifest.digest().hex(), suffix)
        return cls(blob, image / name, found.sha256, found.size)

    @contextmanager
    def open(self) -> Generator[int, None, None]:
        """A file descriptor of just what the manifest says, whatever happens to the path meanwhile."""
        try:
            file = userfile.open_regular(self.path)
        except OSError as error:
            raise PublishError(
                f"{self.path} cannot be read: {error.strerror}.", hint="Build the image again: invoke image.build"
            ) from error
        with file:
            size, digest = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
            if (size, digest) != (self.size, self.sha256):
                raise PublishError(
                    f"{self.path} has the SHA-256 {digest}, the manifest beside it says {self.sha256}.",
                    hint="Build the image again: invoke image.build",
                )
            yield file.fileno()


@dataclass(frozen=True)
class Published:
    """Where an artefact is. ``sent`` counts the bytes of content that went out in this call; 0 where all was there."""

    url: str
    sha256: str
    size: int
    sent: int
