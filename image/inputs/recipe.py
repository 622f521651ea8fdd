"""The recipe: the packages, wheels, kernel modules and files of an image, and what is left out and why.

Recipes are ``image/recipes/<flavor>.toml``. The tables of a recipe with ``extends = "base"`` are merged over those of
``base``: lists are appended, ``files`` with the same path replaced, and other values replaced.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from image.inputs.table import RecipeError, Table

FOLDER = Path(__file__).parents[1] / "recipes"
TOOLS = "tools"
_MODE = re.compile(r"[0-7]{3,4}")
_DEPTH = 4


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class HandledScript:
    """A maintainer script that is not run: its SHA-256, the packages that have it, and what replaces its effect."""

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
    """What a lock resolves: packages, and wheels by name -> version. The host tools are only a request."""

    debian: DebianRecipe
    wheels: Mapping[str, str]

    def digest(self) -> str:
        """SHA-256 (lower-case hex) of what decides the lock; the reasons in ``left_out`` do not count."""
        debian = self.debian
        return _digest([debian.suite, debian.security, debian.packages, sorted(debian.left_out), dict(self.wheels)])


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
    """A file of the image: from image/templates (``template``), from image/guest (``source``), or a symbolic link."""

    path: str
    mode: int
    template: str
    source: str
    link: str

    @classmethod
    def from_table(cls, table: Table) -> Self:
        path, mode = table.take("path", str), table.take("mode", str, "0644")
        if not path.startswith("/") or ".." in path.split("/"):
            raise RecipeError(f"Invalid file path in the recipe: {path!r} must be absolute and without '..'.")
        if not _MODE.fullmatch(mode):
            raise RecipeError(f"The recipe's file {path}: the mode {mode!r} is not an octal number like 0644.")
        kinds = [table.take(kind, str, "") for kind in ("template", "source", "link")]
        file = cls(path, int(mode, 8), *kinds)
        table.reject_unknown()
        if sum(map(bool, kinds)) != 1:
            raise RecipeError(f"The recipe's file {path} must have one of 'template', 'source' and 'link'.")
        return file


@dataclass(frozen=True)
class AgentRecipe:
    """The modules and data files of the checkout that the guest contains."""

    modules: tuple[str, ...]
    data: tuple[str, ...] = ()

    @classmethod
    def from_table(cls, table: Table) -> Self:
        agent = cls(table.strings("modules"), table.strings("data", []))
        table.reject_unknown()
        return agent


@dataclass(frozen=True)
class Recipe:
    """The recipe of one flavor.

    flavor: its name.
    description: one sentence, for the reader.
    debug: whether the image has a shell; False if not set.
    lock: the name of the lock that it is built from; the flavor's if not set.
    request: the Debian packages and the wheels.
    kernel: the kernel package, its modules and command line.
    users: in /etc/passwd besides root.
    files: further files of the root.
    commands: names in /usr/bin that lead to busybox.
    drop: patterns of paths to leave out everywhere.
    prune_root: patterns of paths that only the initrd needs.
    agent: the project's own modules in the guest.
    """

    flavor: str
    description: str
    debug: bool
    lock: str
    request: LockRequest
    kernel: KernelRecipe
    users: tuple[GuestUser, ...]
    files: tuple[GuestFile, ...]
    commands: tuple[str, ...]
    drop: tuple[str, ...]
    prune_root: tuple[str, ...]
    agent: AgentRecipe

    @property
    def debian(self) -> DebianRecipe:
        return self.request.debian

    @property
    def template_values(self) -> dict[str, object]:
        """What templates of the guest's files may use."""
        return {"flavor": self.flavor, "debug": self.debug, "users": self.users}

    @property
    def wheels(self) -> Mapping[str, str]:
        return self.request.wheels

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], flavor: str) -> Self:
        """Raises RecipeError naming the key that is unknown, missing or invalid."""
        table = Table(value, f"{flavor}.toml")
        recipe = cls(
            flavor=flavor,
            description=table.take("description", str),
            debug=table.take("debug", bool, False),
            lock=table.take("lock", str, flavor),
            request=_request(table),
            kernel=KernelRecipe.from_table(table.table("kernel")),
            users=tuple(GuestUser.from_table(entry) for entry in table.tables("users")),
            files=tuple(GuestFile.from_table(entry) for entry in table.tables("files")),
            commands=table.strings("commands", []),
            drop=table.strings("drop", []),
            prune_root=table.strings("prune_root", []),
            agent=AgentRecipe.from_table(table.table("agent")),
        )
        table.reject_unknown()
        if len({file.path for file in recipe.files}) != len(recipe.files):
            raise RecipeError(f"{flavor}.toml: 'files' contains the same path twice.")
        return recipe

    def digest(self) -> str:
        """SHA-256 (lower-case hex) of the whole recipe after merging."""
        return _digest(asdict(self))


def _request(table: Table) -> LockRequest:
    return LockRequest(DebianRecipe.from_table(table.table("debian")), table.string_table("wheels"))


def flavors(folder: Path = FOLDER) -> list[str]:
    """The flavors that have a recipe, sorted."""
    return sorted(entry.stem for entry in folder.glob("*.toml") if entry.stem != TOOLS)


def _read(flavor: str, folder: Path, depth: int = _DEPTH) -> dict[str, Any]:
    path = folder / f"{flavor}.toml"
    if not path.is_file():
        raise RecipeError(f"Unknown flavor {flavor!r}. Known flavors: {', '.join(flavors(folder))}.")
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8, and numbers of too many digits
        raise RecipeError(f"{path.name} is not valid TOML: {error}.") from error
    base = value.pop("extends", None)
    if base is None:
        return value
    if not isinstance(base, str) or depth == 0:
        raise RecipeError(f"{path.name} extends {base!r}: the chain of 'extends' is circular or too long.")
    return _overlay(_read(base, folder, depth - 1), value)


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = _overlay(under, value)
        elif isinstance(under, list) and isinstance(value, list):
            replaced = {entry["path"] for entry in value if isinstance(entry, dict) and "path" in entry}
            merged[key] = [e for e in under if not (isinstance(e, dict) and e.get("path") in replaced)] + value
        else:
            merged[key] = value
    return merged


def load(flavor: str, folder: Path | None = None) -> Recipe:
    """The recipe of a flavor, merged over what it extends."""
    return Recipe.from_dict(_read(flavor, folder or FOLDER), flavor)


def load_request(name: str, folder: Path | None = None) -> LockRequest:
    """The request that the lock ``name`` resolves: a flavor's, or that of the host tools (``tools``)."""
    if name != TOOLS:
        return load(name, folder).request
    table = Table(_read(TOOLS, folder or FOLDER), f"{TOOLS}.toml")
    request = _request(table)
    table.reject_unknown()
    return request
