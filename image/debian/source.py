"""The source packages that a package was built from. Debian's security data knows only those.

Source: Debian Policy, sections 5.6.1 (Source) and 7.8 (Built-Using); deb-control(5) for Static-Built-Using.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from image.debian.packages import Relation
from image.errors import ImageError

_SOURCE = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.\-]*)(?:\s*\((?P<version>[^)\s]+)\))?")
# The version of a package that was only built again is that of its source with +bN (a binNMU).
_REBUILD = re.compile(r"\+b[0-9]+$")


@dataclass(frozen=True, order=True)
class SourcePackage:
    """A source package with its version."""

    name: str
    version: str


def source(control: Mapping[str, str]) -> SourcePackage:
    """The source package of a package with these control fields."""
    package, version = control.get("Package", ""), control.get("Version", "")
    found = _SOURCE.fullmatch(control.get("Source", package))
    if found is None or not version:
        raise ImageError(f"The package {package or 'without a name'} has an invalid source or version.")
    # The version is given only where it differs from the package's.
    return SourcePackage(found["name"], found["version"] or _REBUILD.sub("", version))


def built_using(control: Mapping[str, str]) -> list[SourcePackage]:
    """Other source packages whose code is in the package: those of a static program, and that of a signed kernel."""
    text = ", ".join(control[name] for name in ("Built-Using", "Static-Built-Using") if name in control)
    relations = {Relation.parse(part) for part in text.split(",") if part.strip()}
    return sorted(SourcePackage(one.name, one.version) for one in relations)
