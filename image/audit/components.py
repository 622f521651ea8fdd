"""What a vulnerability may be in: each source package and wheel of a lock, and its files that the image has."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path

from packaging.utils import canonicalize_name

from image.build.built_image import Layers
from image.build.inputs import STUB_FILE
from image.build.source import ALGORITHM_PACKAGES, PACKAGES
from image.debian import deb
from image.debian.source import built_using, source
from image.inputs.lockfile import Lock, LockedPackage
from image.rootfs import kernel, wheels
from image.rootfs.tree import merged


class Ecosystem(Enum):
    """Whose names and versions a component has."""

    DEBIAN = "Debian"
    PYPI = "PyPI"


@dataclass(frozen=True)
class Component:
    """Code of one origin in one package.

    name, version: those that databases know: of Debian the source package's, of PyPI the normalised project's.
    package, package_version: what the lock names; Debian's binary package, or the wheel.
    built_in: the code of another source package that this one was linked with, or that it is a signed copy of.
    files: the package's files that are in the image; None when the image is not there.
    """

    ecosystem: Ecosystem
    name: str
    version: str
    package: str
    package_version: str
    built_in: bool = False
    files: tuple[str, ...] | None = None

    @property
    def label(self) -> str:
        if self.ecosystem is Ecosystem.DEBIAN and (self.name, self.version) != (self.package, self.package_version):
            return f"{self.name} {self.version} (in {self.package} {self.package_version})"
        return f"{self.name} {self.version}"


class ImageFiles:
    """The files of an image, by path and by content: the build keeps some under another name."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    @cached_property
    def _by_digest(self) -> Mapping[str, str]:
        return {
            entry["sha256"]: path
            for layer, entries in self._layers.items()
            for path, entry in entries.items()
            if layer != "uki" and "sha256" in entry
        }

    def of_paths(self, places: Iterable[tuple[str, str]]) -> tuple[str, ...]:
        """Those of these layers and paths that the image has."""
        found = {(layer, path) for layer, path in places if path in self._layers.get(layer, {})}
        return tuple(sorted({path if layer != "uki" else f"{path} of the UKI" for layer, path in found}))

    def of_package(self, package: Path) -> tuple[str, ...]:
        """The image's files that a Debian package has, by path, or else by content.

        The initrd has libraries by the names that programs ask for, which in the package are links.
        """
        if found := self.of_paths(_places(deb.regular_files(package))):
            return found
        with deb.open_data(package) as archive:
            digests = {
                hashlib.sha256(file.read()).hexdigest()
                for member in archive
                if member.isreg() and member.size and (file := archive.extractfile(member)) is not None
            }
        return tuple(sorted(self._by_digest[digest] for digest in digests if digest in self._by_digest))

    def of_wheel(self, name: str, wheel: Path, folder: str) -> tuple[str, ...]:
        """The image's files that a wheel has, which the build unpacks into ``folder``."""
        with wheels.opened(name, wheel) as archive:
            placed = [wheels.place(member) for member in archive.namelist() if not member.endswith("/")]
        return self.of_paths(("root", f"{folder}/{path}") for path in placed if path is not None)


def components(lock: Lock, files: Mapping[str, Path], layers: Layers | None) -> list[Component]:
    """All components of a lock. ``files`` are its packages and wheels by SHA-256; those that are missing are left out.

    ``layers`` are those of the image that was built from it. Raises ImageError for a damaged package.
    """
    image = None if layers is None else ImageFiles(layers)
    found: list[Component] = []
    for package in lock.packages:
        if package.sha256 in files:
            found += _of_package(package, files[package.sha256], image)
    for folder, locked in ((ALGORITHM_PACKAGES, lock.wheels), (PACKAGES, lock.agent_wheels)):
        for wheel in locked:
            if wheel.sha256 in files:
                present = None if image is None else image.of_wheel(wheel.name, files[wheel.sha256], folder)
                name = canonicalize_name(wheel.name)
                found.append(Component(Ecosystem.PYPI, name, wheel.version, wheel.name, wheel.version, files=present))
    return found


def _of_package(package: LockedPackage, path: Path, image: ImageFiles | None) -> Iterator[Component]:
    control = deb.control(path)
    present = None if image is None else image.of_package(path)
    own = source(control)
    for origin in dict.fromkeys((own, *built_using(control))):
        yield Component(
            Ecosystem.DEBIAN,
            origin.name,
            origin.version,
            package.name,
            package.version,
            built_in=origin != own,
            files=present,
        )


def _places(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Where the build puts a package's files: layer and path."""
    for path in paths:
        place = merged(path)
        if kernel.KERNEL.fullmatch(place):
            yield "uki", ".linux"
        elif place == STUB_FILE:
            # The UKI is the stub with more sections.
            yield "uki", ".text"
        elif module := kernel.module_name(place):
            yield from (("root", kernel.place(module)), ("initrd", kernel.place(module)))
        else:
            yield from (("root", place), ("initrd", place))
