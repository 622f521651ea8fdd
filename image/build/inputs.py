"""Everything that decides the outputs of a build: recipe, locked files, host tools, sources."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from image.build import source
from image.errors import ImageError
from image.inputs.lockfile import Lock
from image.inputs.recipe import Recipe

STUB_PACKAGE = "systemd-boot-efi"
"""The package of the UKI's stub."""

STUB_FILE = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
"""The stub in it."""


@dataclass(frozen=True)
class Inputs:
    """Everything that decides the outputs of a build.

    recipe: what is built.
    packages, wheels, agent_wheels: files by name.
    digests: SHA-256 (hex) of each of these files.
    lock: the recipe's lock.
    tool: returns the start of a command line for a locked host tool.
    tools: digest of the host tools' lock.
    checkout: folder of the sources.
    """

    recipe: Recipe
    packages: Mapping[str, Path]
    wheels: Mapping[str, Path]
    agent_wheels: Mapping[str, Path]
    digests: Mapping[Path, str]
    lock: Lock
    tool: Callable[[str], list[str]]
    tools: str
    checkout: Path = source.CHECKOUT

    @classmethod
    def gather(cls, words: str, vendored: Path | None = None, *, relock: bool = False) -> Self:
        """Fetch what the locks name and the cache does not have; ``vendored`` is a tar from `invoke image.vendor`."""
        # Imported late: they load the code that verifies archives, which is not needed to read a manifest.
        from image.inputs import host_tools, recipe
        from image.inputs.relock import obtain

        lock, files = obtain(words, vendored, relock=relock)
        host = host_tools.ensure(vendored, relock=relock)
        return cls(
            recipe=recipe.load(words).recipe,
            packages={package.name: files[package.sha256] for package in lock.packages},
            wheels={wheel.name: files[wheel.sha256] for wheel in lock.wheels},
            agent_wheels={wheel.name: files[wheel.sha256] for wheel in lock.agent_wheels},
            digests={path: digest for digest, path in files.items()},
            lock=lock,
            tool=host.argv,
            tools=host.digest,
        )

    def kernel_package(self) -> str:
        """The name of the one package that starts with the recipe's prefix; it contains the kernel's version."""
        prefix = self.recipe.kernel.package
        found = [name for name in self.packages if name.startswith(prefix)]
        if len(found) != 1:
            raise ImageError(f"The lock must have one package {prefix}*, not {len(found)}: {', '.join(found)}.")
        return found[0]

    def system_packages(self) -> list[str]:
        """The packages of the root: all but those of the kernel and the UKI's stub."""
        return sorted(self.packages.keys() - {self.kernel_package(), STUB_PACKAGE})
