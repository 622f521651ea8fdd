"""What is published: one of the image's disks, under a name and with a digest that are equal in every cloud."""

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
"""Metadata of a complete and checked blob or object: the SHA-256 of its contents (lower-case hex)."""

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of bytes that are done, and the total."""

Bar: TypeAlias = Callable[[str, int], AbstractContextManager[Progress]]
"""Opens a progress bar for an action, such as "Uploading", of a number of bytes."""


@dataclass(frozen=True)
class Artefact:
    """The file ``path``, which is published as ``name``; SHA-256 (hex) and size are those in the image's manifest."""

    name: str
    path: Path
    sha256: str
    size: int

    @classmethod
    def find(cls, image: Path, suffix: str) -> Self:
        """The disk with ``suffix`` in the folder ``image``. Raises ImageError."""
        manifest, signed = output.read_manifest(image), output.read_signed(image)
        made = signed or manifest
        name = f"disk{suffix}"
        found = made.outputs.get(name)
        if found is None:
            raise PublishError(
                f"The image in {image} has no {name}.",
                hint=f"It was built by an older version. Build it again with {output.building(image)}.",
            )
        blob = blob_name(manifest.flavor, made.digest().hex(), suffix)
        return cls(blob, image / name, found.sha256, found.size)

    @contextmanager
    def open(self) -> Generator[int, None, None]:
        """Open the file, check it against the manifest, and yield its descriptor. Raises PublishError."""
        try:
            file = userfile.open_regular(self.path)
        except OSError as error:
            raise PublishError(
                f"{self.path} cannot be read: {error.strerror}.",
                hint=f"Build the image again with {output.building(self.path.parent)}.",
            ) from error
        with file:
            size, digest = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
            if (size, digest) != (self.size, self.sha256):
                raise PublishError(
                    f"{self.path}: SHA-256 differs (manifest: {self.sha256}, file: {digest}).",
                    hint=f"Build the image again with {output.building(self.path.parent)}.",
                )
            yield file.fileno()


@dataclass(frozen=True)
class Published:
    """Where an artefact is. ``sent`` counts the content bytes that this call sent; 0 if nothing was missing."""

    url: str
    sha256: str
    size: int
    sent: int
