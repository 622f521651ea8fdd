"""Python packages of an image, which a bundle leaves out and counts on.

A lock and a bundle name them in comments of their requirements (``cloister.protocol.wheels.image_packages``).
"""

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from cloister import userfile
from cloister.errors import InputError
from cloister.protocol.wheels import bundle as form
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.image_packages import missing, of_comments

if TYPE_CHECKING:
    from cloister.protocol.imagemanifest import ImageManifest

_STUB = "image"


def of_bundle(path: Path) -> dict[str, str]:
    """The packages that a bundle counts on. Raises BundleError, and OSError."""
    try:
        with userfile.open_regular(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            first = archive.next()
            content = archive.extractfile(first) if first is not None and first.name == form.REQUIREMENTS else None
            if content is None:
                return {}
            with content:
                return of_comments(content.read(form.MAX_REQUIREMENTS).decode("utf-8", "replace"))
    except (tarfile.TarError, EOFError) as error:
        raise BundleError(f"{path.name} is not a bundle: {error}.") from error


def require(packages: Mapping[str, str], image: "ImageManifest", what: str) -> None:
    """Raise InputError unless ``image`` has ``packages`` with these versions; ``what`` counts on them."""
    if said := missing(packages, image.packages):
        raise InputError(
            f"{what} counts on packages that the image {image.flavor} does not have: {said}.",
            hint="Name the manifest of the image that will run it, or make the bundle again for this image: "
            "`bundle REQUIREMENTS --image MANIFEST`.",
        )


def same_version(one: str, other: str) -> bool:
    """Return whether two versions are the same, but for what a distributor adds (``+debian``)."""
    try:
        return Version(Version(one).public) == Version(Version(other).public)
    except InvalidVersion:
        return one == other


class Stubs:
    """Empty wheels of an image's packages, so that a resolver takes them where the requirements allow.

    Each has the version of the image's package with a local label that no package elsewhere has.
    """

    def __init__(self, packages: Mapping[str, str]) -> None:
        self._packages: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        for name, version in packages.items():
            try:
                self._versions[name] = f"{Version(version).public}+{_STUB}"
            except InvalidVersion:
                continue  # nothing can ask for it
            self._packages[name] = version

    def write(self, folder: Path) -> None:
        """Write the wheels into an empty folder."""
        folder.mkdir()
        for name, version in self._versions.items():
            start = f"{name.replace('-', '_')}-{version}"
            with zipfile.ZipFile(folder / f"{start}-py3-none-any.whl", "w") as wheel:
                info = f"{start}.dist-info"
                wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
                tags = "Wheel-Version: 1.0\nGenerator: cloister\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                wheel.writestr(f"{info}/WHEEL", tags)
                wheel.writestr(f"{info}/RECORD", "")

    def has(self, name: str) -> bool:
        """Return whether there is one of this package."""
        return name in self._versions

    def preferred(self) -> str:
        """The lines of a lock that prefers them."""
        return "".join(f"{name}=={version}\n" for name, version in sorted(self._versions.items()))

    def package(self, name: str, version: str) -> str | None:
        """The image's version of a package that was resolved to its stub; None for any other."""
        return self._packages[name] if self._versions.get(name) == version else None
