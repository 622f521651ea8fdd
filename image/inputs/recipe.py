"""The recipe: the packages, wheels, kernel modules and files of an image, and what is left out and why.

The project's recipes are ``image/recipes/<flavor>.toml``; others are wherever their authors have them. The tables of a
recipe with ``extends`` are merged over those of the one that it names: lists are appended, other values replaced.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from image.inputs import chain
from image.inputs.chain import PROGRAMS, TOOLS, ChainLink, RecipeFile
from image.inputs.lockfile import LockPlace
from image.inputs.parts import (
    COMPRESSIONS,
    AgentRecipe,
    DebianRecipe,
    GuestFile,
    GuestUser,
    KernelRecipe,
    LockRequest,
    digest_of,
)
from image.inputs.table import RecipeError, Table

__all__ = ["TOOLS", "LoadedRecipe", "Recipe", "RecipeError", "load", "load_request"]


@dataclass(frozen=True)
class Recipe:
    """The recipe of one flavor.

    flavor: its name.
    description: one sentence, for the reader.
    debug: whether the image has a shell; False if not set.
    request: the Debian packages and the wheels.
    kernel: the kernel package, its modules and command line.
    users: in /etc/passwd besides root.
    files: further files of the root.
    commands: names in /usr/bin that lead to busybox.
    compression: of the root file system, one of ``COMPRESSIONS``.
    drop: patterns of paths to leave out everywhere.
    prune_root: patterns of paths that only the initrd needs.
    keep: patterns of paths that stay, whatever ``drop`` and ``prune_root`` say.
    agent: the project's own modules in the guest.
    """

    flavor: str
    description: str
    debug: bool
    request: LockRequest
    kernel: KernelRecipe
    users: tuple[GuestUser, ...]
    files: tuple[GuestFile, ...]
    commands: tuple[str, ...]
    compression: str
    drop: tuple[str, ...]
    prune_root: tuple[str, ...]
    keep: tuple[str, ...]
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
    def from_dict(cls, value: Mapping[str, Any], flavor: str, folders: Mapping[str, Path] | None = None) -> Self:
        """From merged tables. ``folders`` has, for each file of an image that is not the project's, where it is.

        Raises RecipeError naming the key that is unknown, missing or invalid.
        """
        table = Table(value, f"{flavor}.toml")
        request, agent = _request(table)
        where = folders or {}
        recipe = cls(
            flavor=flavor,
            description=table.take("description", str),
            debug=table.take("debug", bool, False),
            request=request,
            kernel=KernelRecipe.from_table(table.table("kernel")),
            users=tuple(GuestUser.from_table(entry) for entry in table.tables("users")),
            files=tuple(GuestFile.from_table(entry, where.get(entry.peek("path"))) for entry in table.tables("files")),
            commands=table.strings("commands", []),
            compression=table.take("compression", str, "lz4hc"),
            drop=table.strings("drop", []),
            prune_root=table.strings("prune_root", []),
            keep=table.strings("keep", []),
            agent=AgentRecipe.from_table(agent),
        )
        table.reject_unknown()
        if recipe.compression not in COMPRESSIONS:
            known = " or ".join(COMPRESSIONS)
            raise RecipeError(f"{flavor}.toml: 'compression' must be {known}, not {recipe.compression!r}.")
        for key, names in (
            ("files", [file.path for file in recipe.files]),
            ("users", [user.name for user in recipe.users]),
            ("users", [str(user.uid) for user in recipe.users]),
        ):
            if twice := sorted(name for name in set(names) if names.count(name) > 1):
                raise RecipeError(f"{flavor}.toml: {key!r} contains {twice[0]} twice.")
        return recipe

    def digest(self) -> str:
        """SHA-256 (lower-case hex) of the whole recipe after merging, with the contents of own files."""
        return digest_of(asdict(self) | {"files": [file.described() for file in self.files]})


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe with its file, the place of its lock, and the files of someone's own that it is made of."""

    recipe: Recipe
    file: RecipeFile
    lock: LockPlace
    own: tuple[Path, ...]


def _request(table: Table) -> tuple[LockRequest, Table]:
    """What the lock resolves, and what is left of the table ``agent``."""
    agent = table.table("agent")
    debian = DebianRecipe.from_table(table.table("debian"))
    return LockRequest(debian, table.string_table("wheels"), agent.string_table("wheels")), agent


def load(words: str) -> LoadedRecipe:
    """The recipe that ``words`` name, by name or path, merged over what it extends.

    It is built from the lock of the lowest recipe that asks for the same packages and wheels, so that one that only
    adds files needs no lock of its own. Raises RecipeError.
    """
    made: list[tuple[Recipe, RecipeFile]] = []
    folders: dict[str, Path] = {}
    own: dict[Path, None] = {}
    for link in chain.read(words):
        paths = _paths(link)
        folders = {path: folder for path, folder in folders.items() if path not in paths}
        if link.file.own:
            folders |= dict.fromkeys(paths, link.file.path.parent)
        made.append((Recipe.from_dict(link.merged, link.file.flavor, folders), link.file))
        if link.file.own:
            names = [file.template or file.source for file in made[-1][0].files if file.path in paths]
            own |= dict.fromkeys([link.file.path, *(link.file.path.parent / name for name in names if name)])
    top = made[-1][0]
    wanted = top.request.digest()
    lock = next(file.lock for recipe, file in made if recipe.request.digest() == wanted)
    return LoadedRecipe(top, made[-1][1], lock, tuple(own))


def _paths(link: ChainLink) -> list[str]:
    files = link.tables.get("files")
    entries = [entry for entry in files if isinstance(entry, dict)] if isinstance(files, list) else []
    return [path for entry in entries if isinstance(path := entry.get("path"), str)]


def load_request(words: str) -> tuple[LockRequest, LockPlace]:
    """What the lock of a recipe, or of programs (``tools`` and ``browser``), resolves; and the place of that lock."""
    if words not in PROGRAMS:
        loaded = load(words)
        return loaded.recipe.request, loaded.lock
    (link,) = chain.read(words)
    table = Table(link.merged, f"{words}.toml")
    request = LockRequest(DebianRecipe.from_table(table.table("debian")), {}, {})
    table.reject_unknown()
    return request, link.file.lock
