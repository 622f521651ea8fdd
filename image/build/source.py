"""The files of the checkout that decide an image: the builders' code, the guest's files, the agent's modules."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from cloister.protocol import guest
from image.errors import ImageError
from image.inputs.parts import AgentRecipe
from image.rootfs.tree import Tree, TreeEntry

CHECKOUT = Path(__file__).parents[2]

PACKAGES = "usr/lib/cloister"
"""The folder of the agent's modules and packages. Algorithms do not look there."""

ALGORITHM_PACKAGES, DEBIAN_PACKAGES = guest.PACKAGE_FOLDERS
"""Where algorithms find the wheels of the image, and Debian's packages."""

# Code that decides the bytes of an output. Fetching, locking and comparing do not.
_BUILDERS = (
    "build/assembly",
    "build/inputs",
    "build/layers",
    "build/manifest",
    "build/measure",
    "build/source",
    "debian/copyright",
    "debian/deb",
    "debian/deb822",
    "debian/source",
)
SOURCES = ("cloister", "agent_runtime", "image")
"""The folders of the checkout whose code runs in a build, or is in the guest."""

_BUILDER_FOLDERS = ("formats", "rootfs", "sbom", "guest", "guest/templates")


def agent(modules: AgentRecipe, checkout: Path = CHECKOUT) -> Tree:
    """The agent's modules and data files below ``PACKAGES``. Raises ImageError for a missing one."""
    tree = Tree()
    for path in [_module(name, checkout) for name in modules.modules] + [checkout / name for name in modules.data]:
        # Neither absolute nor through "..": a recipe may be someone else's.
        if not path.is_relative_to(checkout) or ".." in path.parts or not path.is_file():
            named = path.relative_to(checkout) if path.is_relative_to(checkout) else path
            raise ImageError(f"The recipe's 'agent' names {named}, which the checkout does not have.")
        tree.put(f"{PACKAGES}/{path.relative_to(checkout)}", TreeEntry.file(path.read_bytes()))
    return tree


def builders_digest(checkout: Path = CHECKOUT) -> str:
    """SHA-256 (hex) of the builders' code, the guest's files and the templates."""
    image = checkout / "image"
    code = [image / f"{name}.py" for name in _BUILDERS]
    return _digest(checkout, [*code, *(path for name in _BUILDER_FOLDERS for path in _files(image / name))])


def digest_of_all(checkout: Path = CHECKOUT) -> str:
    """SHA-256 (hex) of every file in ``SOURCES``: what cannot decide an output is included, too."""
    digest = hashlib.sha256()
    for top in SOURCES:
        for folder, folders, names in os.walk(checkout / top):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                path = f"{folder}/{name}"
                with open(path, "rb") as file:  # a Path takes longer to make than such a file to read
                    contents = hashlib.sha256(file.read()).hexdigest()
                digest.update(f"{path[len(str(checkout)) :]}\0{contents}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def digest(builders: str, agent: Tree) -> str:
    """SHA-256 (hex) of what decides an image: ``builders_digest``, and the agent's files."""
    return hashlib.sha256(bytes.fromhex(builders) + agent.digest()).hexdigest()


def _module(name: str, checkout: Path) -> Path:
    """The file of a module, or the ``__init__.py`` of a package."""
    path = checkout.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


def _digest(checkout: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        contents = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(checkout).as_posix()}\0{contents}\n".encode())
    return digest.hexdigest()
