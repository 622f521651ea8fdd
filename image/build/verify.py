"""Rebuild an image in another environment and compare every byte.

The rebuild runs from a copy of the sources in another folder, in a process with another umask, time zone, locale, home
and hash seed, with one processor and file systems of another order (``variation``). It uses the locked inputs and no
step of an earlier build.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cloister.process import run
from cloister.protocol.imagemanifest import ImageManifest
from image import cache, disk_space
from image.build import built_image, output
from image.build.built_image import Layers
from image.build.source import CHECKOUT, SOURCES
from image.errors import ImageError
from image.inputs import fetch, lockfile, recipe
from image.inputs.recipe import LoadedRecipe

_Name = TypeVar("_Name", int, str)

_OTHER_ENVIRONMENT = {
    "TZ": "Pacific/Kiritimati",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "tr_TR.UTF-8",
    "PYTHONHASHSEED": "271828",
}


class DiffersError(ImageError):
    """A rebuilt image differs from the one that it was compared with."""

    remedy = "Compare both image manifests: invoke image.diff. Do not use an image that cannot be rebuilt."


@dataclass(frozen=True)
class Comparison:
    """An output or PCR with its expected and rebuilt SHA-256 (hex), or what else a manifest says of an image.

    Empty where one side does not have it.
    """

    name: str
    expected: str
    found: str

    @property
    def same(self) -> bool:
        return self.expected == self.found

    @property
    def line(self) -> str:
        outcome = "identical" if self.same else f"differs, expected {self.expected or 'none'}"
        return f"{self.name:18} {self.found or 'none'} {outcome}"


@dataclass(frozen=True)
class Verification:
    """The rebuild compared with a manifest.

    ``comparisons`` has all outputs and PCRs, and what the manifest says of their contents, ``damaged`` a sentence for
    each file next to the manifest that differs from it, and ``differences`` a line such as
    ``root: etc/passwd: missing`` for each file in which the rebuild differs.
    """

    comparisons: tuple[Comparison, ...]
    damaged: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.damaged and all(comparison.same for comparison in self.comparisons)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        outputs = [{"name": row.name, "expected": row.expected, "found": row.found} for row in self.comparisons]
        return {"same": self.same, "outputs": outputs, "damaged": self.damaged, "differences": self.differences}

    def lines(self) -> list[str]:
        """For a reader: one line for each output and PCR, then the damaged and differing files."""
        return [*(row.line for row in self.comparisons), *self.damaged, *self.differences]


def verify(
    words: str, against: Path, *, vendored: Path | None = None, say: Callable[[str], None] = print
) -> Verification:
    """Rebuild the image of a recipe, by name or path, and compare it with the manifest ``against`` (or its folder).

    Checks the recipe, the manifest and the tar ``vendored`` before it builds. Raises InputError also when the disk has
    no space for the rebuild.
    """
    loaded = recipe.load(words)
    lock = lockfile.load(loaded.lock)
    expected = output.read_manifest(against)
    if vendored is not None:
        fetch.check(lock, vendored)
    say(f"Rebuilding the image {loaded.recipe.flavor} with another folder, umask, time zone and locale ...")
    with disk_space.needed(Path(tempfile.gettempdir()), disk_space.TEMPORARY_HINT):
        return _verify(loaded, against, expected, vendored)


def _verify(loaded: LoadedRecipe, against: Path, expected: ImageManifest, vendored: Path | None) -> Verification:
    damaged: list[str] = []
    if against.is_dir():
        damaged = [
            f"{against / name} differs from the manifest next to it." for name in output.check(expected, against)
        ]
    with tempfile.TemporaryDirectory(prefix="cloister-verify-") as name:
        rebuilt = Path(name, "image")
        _rebuild(loaded, Path(name, "sources"), rebuilt, vendored)
        found = output.read_manifest(rebuilt)
        comparisons = [*compare(expected, found), *compare_statements(expected, found)]
        published = (against if against.is_dir() else against.parent) / built_image.LISTING
        differences: list[str] = []
        if not all(comparison.same for comparison in comparisons):
            listed = expected.outputs.get(built_image.LISTING)
            if listed is not None and published.is_file() and cache.digest(published) == listed.sha256:
                differences = compare_listings(published.read_bytes(), (rebuilt / built_image.LISTING).read_bytes())
            else:
                differences = [
                    f"Cannot list the files that differ: no matching {built_image.LISTING} next to {against}."
                ]
        return Verification(tuple(comparisons), tuple(damaged), tuple(differences))


def compare(expected: ImageManifest, found: ImageManifest) -> list[Comparison]:
    """Compare outputs, then PCRs, in order of name."""
    outputs = ({name: one.sha256 for name, one in side.outputs.items()} for side in (expected, found))
    return [*_rows("", *outputs), *_rows("PCR ", expected.pcrs, found.pcrs)]


def compare_statements(expected: ImageManifest, found: ImageManifest) -> list[Comparison]:
    """Compare what manifests say of the contents: flavor, whether it is a debug image, each package that differs.

    Policies and reviews take this from a manifest. No measurement covers it, so only a rebuild shows that it is true.
    """
    return [
        Comparison("flavor", expected.flavor, found.flavor),
        Comparison("debug", str(expected.debug).lower(), str(found.debug).lower()),
        *(row for row in _rows("Python package ", expected.packages, found.packages) if not row.same),
    ]


def compare_inputs(expected: ImageManifest, found: ImageManifest) -> list[Comparison]:
    """Compare the digests of recipe, lock, tools and sources."""
    return _rows("input ", expected.inputs, found.inputs)


def _rows(kind: str, expected: Mapping[_Name, str], found: Mapping[_Name, str]) -> list[Comparison]:
    return [
        Comparison(f"{kind}{name}", expected.get(name, ""), found.get(name, "")) for name in sorted({*expected, *found})
    ]


@dataclass(frozen=True)
class FileChange:
    """A file that differs between two images: its layer, its path, and how: ``added``, ``missing`` or the values."""

    layer: str
    path: str
    how: str

    @property
    def line(self) -> str:
        return f"{self.layer}: {self.path}: {self.how}"


def changed_files(expected: Layers, found: Layers) -> list[FileChange]:
    """Each file that differs, in order of layer and path."""
    return [
        FileChange(layer, path, how)
        for layer in sorted({*expected, *found})
        for path, how in _compare_layer(expected.get(layer, {}), found.get(layer, {}))
    ]


def compare_listings(expected: bytes, found: bytes) -> list[str]:
    """A line for each file that differs between two ``files.json``. Raises InputError for an invalid one."""
    return [change.line for change in changed_files(built_image.layers(expected), built_image.layers(found))]


def _compare_layer(
    expected: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    for path in sorted({*expected, *found}):
        if path not in found:
            yield path, "missing"
        elif path not in expected:
            yield path, "added"
        elif expected[path] != found[path]:
            before, after = expected[path], found[path]
            changed = [
                f"{key} {before.get(key)} -> {after.get(key)}"
                for key in sorted({*before, *after})
                if before.get(key) != after.get(key)
            ]
            yield path, ", ".join(changed)


def _rebuild(loaded: LoadedRecipe, sources: Path, destination: Path, vendored: Path | None) -> None:
    for name in SOURCES:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = _copy_own(loaded, sources.parent / "recipe") or loaded.recipe.flavor
    home = sources.parent / "home"
    home.mkdir()
    environment = {
        **os.environ,
        **_OTHER_ENVIRONMENT,
        "HOME": str(home),
        "PYTHONPATH": str(sources),
        "XDG_CACHE_HOME": str(cache.root().parent),
    }
    command = [sys.executable, "-B", "-m", "image", words, str(destination)]
    if vendored is not None:
        command.append(str(vendored.absolute()))
    shell = ["/bin/sh", "-c", 'umask 077; exec "$@"', "rebuild", *command]
    run(shell, cwd=sources, env=environment)


def _copy_own(loaded: LoadedRecipe, into: Path) -> str:
    """Copy someone's own recipe with its files and its lock, as they lie to each other; the recipe's new path."""
    if not loaded.own:
        return ""
    # Not resolved beyond their folders, because a recipe names them so.
    files = [path.absolute() for path in loaded.own]
    if loaded.lock.path.parent != lockfile.FOLDER:
        files.append(loaded.lock.path)
    above = Path(os.path.commonpath([path.parent for path in files]))
    for path in files:
        target = into / path.relative_to(above)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return str(into / loaded.file.path.relative_to(above))
