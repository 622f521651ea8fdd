"""The parts of a recipe: packages, kernel, users, files, and the agent's own modules."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cloister import userfile
from image.inputs.table import RecipeError, Table

ANY = "*"
"""In a list of packages: any package."""

COMPRESSIONS = ("lz4hc", "zstd")
"""Of the root file system."""

_MODE = re.compile(r"[0-7]{3,4}")


def digest_of(value: object) -> str:
    """SHA-256 (lower-case hex) of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class HandledScript:
    """A maintainer script that is not run: its SHA-256, the packages that have it, and what replaces its effect.

    ``sha256`` is that of ``image.inputs.relock.script_digest``; ``packages`` may be ``*``.
    """

    script: str
    sha256: str
    packages: tuple[str, ...]
    how: str

    @classmethod
    def from_table(cls, table: Table) -> Self:
        handled = cls(
            table.take("script", str), table.take("sha256", str), table.strings("packages"), table.take("how", str)
        )
        table.reject_unknown()
        return handled


@dataclass(frozen=True)
class DebianRecipe:
    """The packages to take from a Debian suite.

    ``left_out`` maps dependencies that are not taken to the reason; ``security`` adds the suite's security archive.
    """

    suite: str
    security: bool
    packages: tuple[str, ...]
    left_out: Mapping[str, str]
    handled: tuple[HandledScript, ...]

    @classmethod
    def from_table(cls, table: Table) -> Self:
        debian = cls(
            suite=table.take("suite", str),
            security=table.take("security", bool),
            packages=table.strings("packages"),
            left_out=table.string_table("left_out"),
            handled=tuple(HandledScript.from_table(entry) for entry in table.tables("handled")),
        )
        table.reject_unknown()
        for name in debian.packages:
            if name in debian.left_out:
                raise RecipeError(f"The recipe has {name} in both 'packages' and 'left_out'. Remove it from one.")
        return debian


@dataclass(frozen=True)
class LockRequest:
    """What a lock resolves: packages, and wheels by name -> version. The host tools are only a request.

    ``wheels`` are for algorithms, ``agent_wheels`` for the agent alone.
    """

    debian: DebianRecipe
    wheels: Mapping[str, str]
    agent_wheels: Mapping[str, str]

    def digest(self) -> str:
        """SHA-256 (lower-case hex) of what decides the lock; the reasons in ``left_out`` do not count."""
        debian = self.debian
        wheels = [dict(self.wheels), dict(self.agent_wheels)]
        return digest_of([debian.suite, debian.security, debian.packages, sorted(debian.left_out), *wheels])


@dataclass(frozen=True)
class KernelRecipe:
    """The kernel: its package, modules and command line. The dependencies of modules are added by the build.

    package: prefix of the package's name; the full name contains the version.
    modules, initrd_modules: loaded on every platform, from the root and from the initrd.
    command_line: the words of the kernel's command line.
    needed, initrd_needed: further modules by platform (``azure``) or security module (``snp``); the guest loads the
        lists for the platform and security module that it detects.
    """

    package: str
    modules: tuple[str, ...]
    initrd_modules: tuple[str, ...]
    command_line: tuple[str, ...]
    needed: Mapping[str, tuple[str, ...]]
    initrd_needed: Mapping[str, tuple[str, ...]]

    @classmethod
    def from_table(cls, table: Table) -> Self:
        kernel = cls(
            package=table.take("package", str),
            modules=table.strings("modules"),
            initrd_modules=table.strings("initrd_modules"),
            command_line=table.strings("command_line"),
            needed=table.list_table("needed"),
            initrd_needed=table.list_table("initrd_needed"),
        )
        table.reject_unknown()
        return kernel


@dataclass(frozen=True)
class GuestUser:
    """A user in /etc/passwd and the group of the same name and number."""

    name: str
    uid: int
    home: str
    shell: str

    @classmethod
    def from_table(cls, table: Table) -> Self:
        user = cls(table.take("name", str), table.take("uid", int), table.take("home", str), table.take("shell", str))
        table.reject_unknown()
        return user


@dataclass(frozen=True)
class GuestFile:
    """A file of the image: from a template, as it is (``source``), or a symbolic link.

    contents: those of a template or source beside a recipe of someone's own; None for the project's, which are in
        image/guest/templates and image/guest.
    replace: whether it may be in the place of a package's file.
    """

    path: str
    mode: int
    template: str
    source: str
    link: str
    replace: bool
    contents: bytes | None = None

    @classmethod
    def from_table(cls, table: Table, folder: Path | None = None) -> Self:
        """``folder`` has the file if that is not one of the project's."""
        path, mode = table.take("path", str), table.take("mode", str, "0644")
        if not path.startswith("/") or ".." in path.split("/"):
            raise RecipeError(f"Invalid file path in the recipe: {path!r} must be absolute and without '..'.")
        if not _MODE.fullmatch(mode):
            raise RecipeError(f"The recipe's file {path}: the mode {mode!r} is not an octal number like 0644.")
        kinds = [table.take(kind, str, "") for kind in ("template", "source", "link")]
        replace = table.take("replace", bool, False)
        table.reject_unknown()
        if sum(map(bool, kinds)) != 1:
            raise RecipeError(f"The recipe's file {path} must have one of 'template', 'source' and 'link'.")
        name = kinds[0] or kinds[1]
        contents = _own_contents(folder, name) if folder is not None and name else None
        return cls(path, int(mode, 8), *kinds, replace, contents)

    def described(self) -> dict[str, object]:
        """For the recipe's digest: own contents by their SHA-256."""
        contents = None if self.contents is None else hashlib.sha256(self.contents).hexdigest()
        return asdict(self) | {"contents": contents}


def _own_contents(folder: Path, name: str) -> bytes:
    path = folder / name
    if Path(name).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
        raise RecipeError(f"The recipe's file {name} must be in the folder of the recipe, {folder}.")
    try:
        with userfile.open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise RecipeError(f"The recipe's file {name} cannot be read in {folder}: {error.strerror}.") from error


@dataclass(frozen=True)
class AgentRecipe:
    """The modules and data files of the checkout that the guest contains."""

    modules: tuple[str, ...]
    data: tuple[str, ...] = ()

    @classmethod
    def from_table(cls, table: Table) -> Self:
        """``wheels`` were taken before."""
        agent = cls(table.strings("modules"), table.strings("data", []))
        table.reject_unknown()
        return agent
