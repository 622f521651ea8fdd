"""Extract the kernel and its modules from Debian's package.

A module's .modinfo section names the modules to load before it: ``depends`` (symbols that it uses) and ``softdep``
(modprobe.d(5)). The guest loads modules in the order computed here, without depmod's tables.
"""

import lzma
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from image.debian import deb
from image.debian.deb import Unxz
from image.errors import ImageError
from image.rootfs.tree import merged, read_member

MODULES = "usr/lib/modules"
"""The folder of the modules in root and initrd."""

KERNEL = re.compile(r"boot/vmlinuz-(?P<release>[^/]+)")
"""The path of the kernel in its package."""

_MODULE = re.compile(r"usr/lib/modules/[^/]+/.*/(?P<name>[^/]+)\.ko(?:\.xz)?")
_DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")
_SOFT_BEFORE = re.compile(rb"(?:^|\0)softdep=pre: ([^\0]*)\0")


@dataclass(frozen=True)
class Module:
    """A signed module, uncompressed, as the kernel's loader takes it; ``name`` has underscores."""

    name: str
    contents: bytes


@dataclass(frozen=True)
class ExtractedKernel:
    """The kernel's release, its EFI program, and one ordered list of modules for each requested list."""

    release: str
    vmlinuz: bytes
    modules: tuple[tuple[Module, ...], ...]


def extract(package: Path, wanted: Iterable[Iterable[str]], unxz: Unxz = deb.unxz) -> ExtractedKernel:
    """The kernel of ``package``, and the modules of every list in ``wanted`` with their dependencies, in loading order.

    Raises ImageError for a module that is neither in the package nor built into the kernel.
    """
    with deb.open_data(package, unxz) as tar:
        members: dict[str, tarfile.TarInfo] = {}
        built_in: frozenset[str] = frozenset()
        release = vmlinuz = None
        for member in tar:
            path = merged(member.name)
            if module := module_name(path):
                members[module] = member
            elif kernel := KERNEL.fullmatch(path):
                release, vmlinuz = kernel["release"], _contents(tar, member)
            elif path.endswith("/modules.builtin"):
                lines = _contents(tar, member).decode().split()
                built_in = frozenset(_canonical(line.rpartition("/")[2].removesuffix(".ko")) for line in lines)
        if release is None or vmlinuz is None:
            raise ImageError(f"{package.name} has no /boot/vmlinuz-*.")
        source = _Source(tar, members, built_in)
        return ExtractedKernel(release, vmlinuz, tuple(tuple(source.closure(names)) for names in wanted))


@dataclass(frozen=True)
class _Source:
    tar: tarfile.TarFile
    members: dict[str, tarfile.TarInfo]
    built_in: frozenset[str]

    def closure(self, names: Iterable[str]) -> list[Module]:
        loaded: dict[str, Module] = {}
        for name in names:
            self._add(_canonical(name), loaded, soft=False)
        return list(loaded.values())

    def _add(self, name: str, loaded: dict[str, Module], *, soft: bool) -> None:
        if name in loaded or name in self.built_in:
            return
        if name not in self.members:
            if soft:
                return
            raise ImageError(f"The kernel has no module {name}.")
        contents = _contents(self.tar, self.members[name])
        for dependency in dependencies(contents, _DEPENDS, b","):
            self._add(dependency, loaded, soft=False)
        for dependency in dependencies(contents, _SOFT_BEFORE, None):
            self._add(dependency, loaded, soft=True)
        loaded[name] = Module(name, contents)


def module_name(path: str) -> str:
    """The name, with underscores, of the module at ``path`` of a package; empty if it is not a module."""
    found = _MODULE.fullmatch(path)
    return _canonical(found["name"]) if found else ""


def place(name: str) -> str:
    """The path of the module ``name`` in root and initrd."""
    return f"{MODULES}/{name}.ko"


def dependencies(module: bytes, field: re.Pattern[bytes], separator: bytes | None) -> list[str]:
    """The module names in each ``field`` of ``module``'s .modinfo."""
    return [_canonical(name.decode()) for value in field.findall(module) for name in value.split(separator) if name]


def _contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    contents = read_member(tar, member)
    return lzma.decompress(contents) if member.name.endswith(".xz") else contents


def _canonical(name: str) -> str:
    return name.replace("-", "_")
