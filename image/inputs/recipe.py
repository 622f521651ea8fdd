"""The recipe: which packages, wheels, modules and files make an image, and why what is left out is left out.

``image/recipes/<flavor>.toml``; a recipe that says ``extends = "base"`` has its tables laid over the other's:
lists are appended, ``files`` of the same path replaced, everything else replaced.
"""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from image.inputs.table import RecipeError, Table

FOLDER = Path(__file__).parents[1] / "recipes"
TOOLS = "tools"
_DEPTH = 4


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True)
class HandledScript:
    """A maintainer script that is not run, by SHA-256, in these packages, and how its effect is made."""

    script: str
    sha256: str
    packages: tuple[str, ...]
    how: str

    @classmethod
    def from_table(cls, table: Table) -> Self:
        handled = cls(
            table.take("script", str), table.take("sha256", str), table.texts("packages"), table.take("how", str)
        )
        table.done()
        return handled


@dataclass(frozen=True)
class DebianRecipe:
    """Which packages of which suite; ``left_out`` are dependencies that do not come along, each with a reason.

    ``security`` says whether the suite's security archive is asked too.
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
            packages=table.texts("packages"),
            left_out=table.named("left_out"),
            handled=tuple(HandledScript.from_table(entry) for entry in table.tables("handled")),
        )
        table.done()
        for name in debian.packages:
            if name in debian.left_out:
                raise RecipeError(f"The recipe both asks for the package {name} and leaves it out.")
        return debian


@dataclass(frozen=True)
class LockRequest:
    """What a lock answers: packages and wheels (name -> version). The host tools are nothing but a request."""

    debian: DebianRecipe
    wheels: Mapping[str, str]

    def digest(self) -> str:
        """SHA-256, lower-case hex, of what decides the lock; a reworded reason does not change it."""
        debian = self.debian
        return _digest([debian.suite, debian.security, debian.packages, sorted(debian.left_out), dict(self.wheels)])


@dataclass(frozen=True)
class KernelRecipe:
    """The kernel's package, the modules of the root and of the initrd (their closure comes along), its command line.

    ``needed`` and ``initrd_needed`` are further modules by what needs them: a platform, or a security module. The guest
    loads those lists whose name it has found itself to be.
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
            modules=table.texts("modules"),
            initrd_modules=table.texts("initrd_modules"),
            command_line=table.texts("command_line"),
            needed=table.lists("needed"),
            initrd_needed=table.lists("initrd_needed"),
        )
        table.done()
        return kernel


@dataclass(frozen=True)
class GuestUser:
    """A line of /etc/passwd and its group of the same name and number."""

    name: str
    uid: int
    home: str
    shell: str

    @classmethod
    def from_table(cls, table: Table) -> Self:
        user = cls(table.take("name", str), table.take("uid", int), table.take("home", str), table.take("shell", str))
        table.done()
        return user


@dataclass(frozen=True)
class GuestFile:
    """A file of the image: ``template`` is rendered from image/templates, ``source`` copied from image/guest."""

    path: str
    mode: int
    template: str
    source: str

    @classmethod
    def from_table(cls, table: Table) -> Self:
        path, mode = table.take("path", str), table.take("mode", str, "0644")
        if not path.startswith("/") or ".." in path.split("/"):
            raise RecipeError(f"The recipe's file {path!r} must have an absolute path without '..'.")
        try:
            bits = int(mode, 8)
        except ValueError:
            raise RecipeError(f"The recipe's file {path} has the mode {mode!r}, which is no octal number.") from None
        file = cls(path, bits, table.take("template", str, ""), table.take("source", str, ""))
        table.done()
        if bool(file.template) == bool(file.source):
            raise RecipeError(f"The recipe's file {path} must have either a template or a source.")
        return file


@dataclass(frozen=True)
class AgentRecipe:
    """The program inside: exactly these modules and data files of the checkout, and nothing else of it."""

    modules: tuple[str, ...]
    data: tuple[str, ...] = ()

    @classmethod
    def from_table(cls, table: Table) -> Self:
        agent = cls(table.texts("modules"), table.texts("data", []))
        table.done()
        return agent


@dataclass(frozen=True)
class Recipe:
    """One flavor. ``lock`` names the lock that it is built from.

    ``drop`` has patterns of paths to leave out everywhere, ``prune_root`` of those that only the initrd keeps.
    """

    flavor: str
    description: str
    debug: bool
    lock: str
    request: LockRequest
    kernel: KernelRecipe
    users: tuple[GuestUser, ...]
    files: tuple[GuestFile, ...]
    drop: tuple[str, ...]
    prune_root: tuple[str, ...]
    agent: AgentRecipe

    @property
    def debian(self) -> DebianRecipe:
        return self.request.debian

    @property
    def wheels(self) -> Mapping[str, str]:
        return self.request.wheels

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], flavor: str) -> Self:
        """Raises RecipeError naming the key that is unknown, absent or wrong."""
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
            drop=table.texts("drop", []),
            prune_root=table.texts("prune_root", []),
            agent=AgentRecipe.from_table(table.table("agent")),
        )
        table.done()
        if len({file.path for file in recipe.files}) != len(recipe.files):
            raise RecipeError(f"{flavor}.toml names one path twice in 'files'.")
        return recipe

    def digest(self) -> str:
        """SHA-256 of the whole recipe as it was read, lower-case hex."""
        return _digest(asdict(self))


def _request(table: Table) -> LockRequest:
    return LockRequest(DebianRecipe.from_table(table.table("debian")), table.named("wheels"))


def flavors(folder: Path = FOLDER) -> list[str]:
    """Of which there are recipes."""
    return sorted(entry.stem for entry in folder.glob("*.toml") if entry.stem != TOOLS)


def _read(flavor: str, folder: Path, depth: int = _DEPTH) -> dict[str, Any]:
    path = folder / f"{flavor}.toml"
    if not path.is_file():
        raise RecipeError(f"There is no recipe for the flavor {flavor!r}; there are {', '.join(flavors(folder))}.")
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path.name} is not TOML: {error}.") from error
    base = value.pop("extends", None)
    if base is None:
        return value
    if not isinstance(base, str) or depth == 0:
        raise RecipeError(f"{path.name} extends {base!r}, which leads to no recipe.")
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
    """The recipe of a flavor, with what it extends laid under it."""
    return Recipe.from_dict(_read(flavor, folder or FOLDER), flavor)


def load_request(name: str, folder: Path | None = None) -> LockRequest:
    """What the lock ``name`` has to answer: a flavor's request, or that of the host tools (``tools``)."""
    if name != TOOLS:
        return load(name, folder).request
    table = Table(_read(TOOLS, folder or FOLDER), f"{TOOLS}.toml")
    request = _request(table)
    table.done()
    return request
