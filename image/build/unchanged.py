"""Whether an image is built already: no input has changed since its last build, and no output differs from it.

A build leaves its manifest in the user's cache, under the digest of everything that decides it. Later, every output is
read and hashed: a file's times and size prove nothing, since others may be able to write to the folder of an image.
"""

import hashlib
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from cloister.protocol.canonical import FormatError
from cloister.protocol.imagemanifest import ImageManifest
from image import cache
from image.build import kept, output, source
from image.inputs.recipe import Recipe
from image.rootfs.workers import Workers


def find(recipe: Recipe, *, lock: str, tools: str, destination: Path) -> ImageManifest | None:
    """The manifest of the image in ``destination``, if it is what a build would put there.

    ``lock`` and ``tools`` are the digests (hex) of the recipe's lock and of that of the host tools.
    """
    folder = _folder(recipe, lock, tools)
    if kept.names(folder) != [output.MANIFEST]:
        return None
    try:
        encoded = (folder / output.MANIFEST).read_bytes()
        if (destination / output.MANIFEST).read_bytes() != encoded:
            return None
        manifest = ImageManifest.parse(encoded)
        os.utime(folder)
        with Workers() as workers:
            found = workers.map(cache.digest, [destination / name for name in manifest.outputs])
    except (OSError, FormatError):
        return None
    return manifest if found == [made.sha256 for made in manifest.outputs.values()] else None


def keep(recipe: Recipe, *, lock: str, tools: str, manifest: ImageManifest) -> None:
    """Keep the manifest of what was built just now."""
    kept.write(_folder(recipe, lock, tools), lambda new: _write(new / output.MANIFEST, manifest))


def _write(path: Path, manifest: ImageManifest) -> None:
    path.write_bytes(manifest.encode())


def _folder(recipe: Recipe, lock: str, tools: str) -> Path:
    """Also of the host's software that runs in a build."""
    decides = {
        "recipe": recipe.digest(),
        "lock": lock,
        "tools": tools,
        "source": source.digest_of_all(),
        "python": platform.python_version(),
        "jinja2": version("jinja2"),
    }
    return cache.root() / "steps" / hashlib.sha256(json.dumps(["image", decides]).encode()).hexdigest()
