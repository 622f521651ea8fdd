"""Imports of an algorithm that neither its files, nor its bundle, nor the guest have."""

import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cloister import userfile
from cloister.client.script.lookalikes import ENDS, search_roots
from cloister.client.script.packages import package_of, removed_in
from cloister.client.script.parse import Import, Parsed
from cloister.protocol import guest
from cloister.protocol.archives.limits import in_memory
from cloister.protocol.wheels.bundle import PROGRAMS
from cloister.protocol.wheels.errors import BundleError
from cloister.protocol.wheels.wheel import OpenWheel

INSTALL = "List the packages in requirements.txt, bundle that, and name the bundle in the manifest."
"""What to do instead of installing packages in a program."""


@dataclass(frozen=True)
class BundleContents:
    """What the launcher installs of a bundle: the top-level modules, and the bytes of memory that all files take."""

    modules: frozenset[str]
    size: int


def read_bundle(path: Path) -> BundleContents:
    """Return the contents of a bundle's wheels, as the launcher installs them. Hashes are not verified here.

    Raises BundleError, and OSError.
    """
    installed: dict[str, int] = {}
    try:
        with userfile.open_regular(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name.endswith(".whl") else None
                if content is not None:
                    with content:
                        wheel = OpenWheel(content, PurePosixPath(member.name).name)
                        programs = wheel.programs(guest.INTERPRETER)
                    installed |= {f"{PROGRAMS}/{name}": in_memory(len(code)) for name, code in programs.items()}
                    installed |= {one.path: in_memory(one.size) for one in wheel.files}
    except tarfile.TarError as error:
        raise BundleError(f"{path.name} is not a bundle: {error}.") from error
    modules = frozenset(name for file in installed if (name := _top_level(file)) is not None)
    return BundleContents(modules, sum(installed.values()))


def _top_level(path: str) -> str | None:
    """The module that a file in the folder of packages belongs to."""
    first, folder, _ = path.partition("/")
    if first.endswith(".dist-info"):
        return None
    return first.split(".")[0] if folder or first.endswith((".py", ".so")) else None


class OwnModules:
    """The modules among the files of an algorithm, by their paths below the working folder."""

    def __init__(self, places: Collection[str], environment: Mapping[str, str], *, anywhere: bool) -> None:
        self._places = frozenset(places)
        roots = search_roots(environment)
        if anywhere:
            roots += {"", *(place.rpartition("/")[0] + "/" for place in places if "/" in place)}
        self._roots = list(dict.fromkeys(roots))

    def has(self, module: str) -> bool:
        """Return whether a dotted name is a module or package with code."""
        paths = [root + module.replace(".", "/") for root in self._roots]
        return any(path + end in self._places for path in paths for end in ENDS)

    def has_folder(self, module: str) -> bool:
        """Return whether a dotted name is a folder, which is a package without code (PEP 420)."""
        starts = tuple(f"{root}{module.replace('.', '/')}/" for root in self._roots)
        return any(place.startswith(starts) for place in self._places)

    def missing(self, module: str) -> str | None:
        """The first of a dotted name's packages that is not there."""
        parts = module.split(".")
        names = (".".join(parts[: length + 1]) for length in range(len(parts)))
        return next((name for name in names if not self.has(name) and not self.has_folder(name)), None)


class Available:
    """The modules that an algorithm finds besides its own: those of the guest, of its bundle, and of the image."""

    def __init__(self, bundled: frozenset[str] | None, image: Collection[str], *, has_bundle: bool) -> None:
        """``bundled`` are the modules of the bundle, None if it is not known; ``image`` the packages of the image."""
        self.bundled = bundled
        self.has_bundle = has_bundle
        self.counted: set[str] = set()
        """The packages of the image whose modules were asked for."""
        self._image = image

    def has(self, module: str) -> bool:
        """Return whether a dotted name's first package is there."""
        top = module.split(".")[0]
        if top in guest.MODULES or (self.bundled is not None and top in self.bundled):
            return True
        package = package_of(module)
        if package in self._image:
            self.counted.add(package)
        return package in self._image


def missing_modules(parsed: Mapping[str, Parsed], own: OwnModules, available: Available, folder: Path) -> Iterator[str]:
    """Warnings, one for each module.

    Args:
        parsed: the sources by their paths below the working folder. The first one is the program.
        own: the modules among the algorithm's files.
        available: what else it finds.
        folder: where the author has the program, to find modules that were forgotten.
    """
    told = set[str]()
    for source, one in parsed.items():
        for found in one.imports:
            module = _absolute(found, source)
            where = f"{source}, line {found.line}"
            if found.function:
                where += f" (in {found.function}, if that is called)"
            if module is None:
                yield f"{where}: a relative import fails in a program that is run as a script."
                continue
            top = module.split(".")[0]
            why = None
            if own.has(top):
                if (lost := own.missing(module)) is not None:
                    top, why = lost, _forgotten(lost, folder) or f"{lost} is not among algorithm.files."
            elif not available.has(module):
                if own.has_folder(top):
                    lost = own.missing(module)
                    why = None if lost is None else _forgotten(lost, folder) or f"{lost} is not among algorithm.files."
                elif found.level:
                    why = None
                else:
                    why = _reason(module, available.bundled, folder, has_bundle=available.has_bundle)
            if why is not None and top not in told:
                told.add(top)
                yield f"{where}: {why}"


def _absolute(found: Import, source: str) -> str | None:
    """The dotted name that an import asks for; None for a relative one outside of a package."""
    if not found.level:
        return found.module
    package = source.split("/")[:-1]
    if len(package) < found.level:
        return None
    return ".".join([*package[: len(package) - found.level + 1], *([found.module] if found.module else [])])


def _reason(module: str, bundled: frozenset[str] | None, folder: Path, *, has_bundle: bool) -> str | None:
    top = module.split(".")[0]
    if (why := _forgotten(top, folder)) is not None:
        return why
    if (version := removed_in(top)) is not None:
        if bundled is None or "setuptools" in bundled:  # setuptools brings distutils back
            return None
        return f"{top} was removed from Python {version}, and the guest has {guest.PYTHON}."
    if top == "pip":
        return f"the guest has no pip, and no index to install from. {INSTALL}"
    if (left_out := guest.left_out(top)) is not None:
        return f"the guest's Python has no {top}. {left_out}"
    if bundled is None:
        return None
    package = package_of(module)
    if has_bundle:
        return f"{top} is neither in the bundle nor in the guest. Add {package} to the requirements, and bundle again."
    return f"{top} is not in the guest, and there is no bundle. Bundle {package}, and name the bundle in the manifest."


def _forgotten(module: str, folder: Path) -> str | None:
    """What to do about a module that lies beside the program and is not in the manifest."""
    path = module.replace(".", "/")
    for place in (f"{path}.py", f"{path}/__init__.py"):
        if (folder / place).is_file():
            return f"{place} is not in the manifest. Add it to algorithm.files: {{file: {place}, at: {place}}}."
    return None
