"""Find recipes by name or path, and merge each over the one that it extends."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloister import userfile
from image.inputs.lockfile import LockPlace
from image.inputs.table import RecipeError

FOLDER = Path(__file__).parents[1] / "recipes"
TOOLS = "tools"
BROWSER = "browser"
PROGRAMS = {TOOLS: "the host tools", BROWSER: "the browser"}
"""The recipes that are not those of images, but of programs for this machine; and how messages name them."""

SUFFIX = ".toml"
_LONGEST = 8
"""Recipes in a chain, the first included."""

_LARGEST = 1024 * 1024
_FLAVOR = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class RecipeFile:
    """A recipe's file: one of the project's, or someone's own."""

    path: Path
    own: bool

    @property
    def flavor(self) -> str:
        """Its name: that of the file."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def lock(self) -> LockPlace:
        """Where its lock is: beside an own recipe, else among the project's locks."""
        if self.own:
            return LockPlace(self.flavor, self.path.with_name(f"{self.flavor}.lock.json"))
        return LockPlace.committed(self.flavor)


@dataclass(frozen=True)
class ChainLink:
    """A recipe of a chain: its file, its own tables, and those merged with all below."""

    file: RecipeFile
    tables: Mapping[str, Any]
    merged: Mapping[str, Any]


def flavors(folder: Path | None = None) -> list[str]:
    """The names of the project's recipes of images, sorted."""
    return sorted(entry.stem for entry in (folder or FOLDER).glob(f"*{SUFFIX}") if entry.stem not in PROGRAMS)


def is_path(words: str) -> bool:
    """Whether ``words`` are the path of a recipe, and not the name of one of the project's."""
    return "/" in words or words.endswith(SUFFIX)


def find(words: str, beside: Path | None = None) -> RecipeFile:
    """The recipe that ``words`` name: one of the project's by its name, or a path, relative to ``beside``.

    Raises RecipeError.
    """
    if not is_path(words):
        path = FOLDER / f"{words}{SUFFIX}"
        if not path.is_file():
            raise RecipeError(
                f"Unknown flavor {words!r}. Known flavors: {', '.join(flavors())}.",
                hint=f"The path of a recipe of your own ends in {SUFFIX}.",
            )
        return RecipeFile(path, own=False)
    path = (beside or Path()).absolute() / words
    folder = path.parent.resolve()
    if folder == FOLDER.resolve():
        return find(path.name.removesuffix(SUFFIX))
    if not path.name.endswith(SUFFIX) or not path.is_file():
        raise RecipeError(f"There is no recipe {words}: it must be a file whose name ends in {SUFFIX}.")
    file = RecipeFile(folder / path.name, own=True)
    if not _FLAVOR.fullmatch(file.flavor):
        raise RecipeError(
            f"The recipe {words} cannot name an image: {file.flavor!r} must have lower-case letters, digits and single "
            "hyphens inside.",
            hint="Rename the file.",
        )
    if file.flavor in (*flavors(), *PROGRAMS):
        raise RecipeError(
            f"The recipe {words} has the name of a recipe of the project, and its image would replace that one's.",
            hint=f"Rename the file, for example to my-{path.name}.",
        )
    return file


def read(words: str) -> list[ChainLink]:
    """The recipe that ``words`` name and all that it extends, the lowest first. Raises RecipeError."""
    files, contents = [find(words)], list[dict[str, Any]]()
    while True:
        file = files[-1]
        tables = _parse(file)
        contents.append(tables)
        below = tables.pop("extends", None)
        if below is None:
            return _merged(files, contents)
        if not isinstance(below, str):
            raise RecipeError(f"{file.path.name}: 'extends' must be the name or path of a recipe, not {below!r}.")
        if below in PROGRAMS:
            raise RecipeError(f"{file.path.name} extends {below}, which is not the recipe of an image.")
        try:
            files.append(find(below, file.path.parent))
        except RecipeError as error:
            raise RecipeError(f"{file.path.name} extends {below!r}. {error.message}", hint=error.hint) from error
        names = " -> ".join(one.path.name for one in files)
        if files[-1] in files[:-1]:
            raise RecipeError(f"{names}: these recipes extend each other in a circle.", hint="Remove one 'extends'.")
        if len(files) > _LONGEST:
            raise RecipeError(f"{names}: a chain of 'extends' has at most {_LONGEST} recipes.")


def _parse(file: RecipeFile) -> dict[str, Any]:
    try:
        return tomllib.loads(userfile.read(file.path, _LARGEST).decode())
    except OSError as error:
        raise RecipeError(f"{file.path} cannot be read: {error.strerror}.", hint=userfile.hint(error)) from error
    except (ValueError, RecursionError) as error:  # also text that is not UTF-8, and numbers of too many digits
        raise RecipeError(f"{file.path.name} is not valid TOML: {error}.") from error


def _merged(files: Sequence[RecipeFile], contents: Sequence[dict[str, Any]]) -> list[ChainLink]:
    links: list[ChainLink] = []
    for file, tables in zip(reversed(files), reversed(contents), strict=True):
        if not links:
            links.append(ChainLink(file, tables, tables))
            continue
        below = links[-1]
        under = _without_wanted(below.merged, tables)
        links.append(ChainLink(file, tables, _overlay(under, tables, f"{file.path.name}", below.file.path.name)))
    return links


def _without_wanted(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """``below`` without the reasons for leaving out packages that ``above`` asks for."""
    wanted = above.get("debian", {}).get("packages", []) if isinstance(above.get("debian"), dict) else []
    debian = below.get("debian")
    if not isinstance(debian, dict) or not isinstance(debian.get("left_out"), dict) or not isinstance(wanted, list):
        return below
    left_out = {name: why for name, why in debian["left_out"].items() if name not in wanted}
    return {**below, "debian": {**debian, "left_out": left_out}}


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any], place: str, base: str) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = _overlay(under, value, f"{place}: {key}", base)
        elif isinstance(under, list) and isinstance(value, list):
            merged[key] = _extended(under, value, f"{place}: {key}", base)
        elif key == "debug" and under is True and value is False:
            raise RecipeError(
                f"{place}: {base} is a debug image, and what extends it is one: 'debug' cannot be false.",
                hint="Extend another recipe.",
            )
        elif isinstance(under, (dict, list)):
            kind = "a table" if isinstance(under, dict) else "a list"
            raise RecipeError(f"{place}: {key!r} must be {kind}, as in {base}, not {value!r}.")
        else:
            merged[key] = value
    return merged


def _extended(under: list[Any], value: list[Any], place: str, base: str) -> list[Any]:
    """Both lists. An entry with a path may replace one below, if it says so."""
    paths = {entry["path"]: entry for entry in value if isinstance(entry, dict) and isinstance(entry.get("path"), str)}
    kept = []
    for entry in under:
        path = entry.get("path") if isinstance(entry, dict) else None
        if path in paths and paths[path].get("replace") is not True:
            raise RecipeError(
                f"{place}: {base} has {path} already.", hint="Say replace = true to put yours in its place."
            )
        if not isinstance(entry, dict) and entry in value:
            raise RecipeError(f"{place}: {base} has {entry!r} already.", hint="Remove it from your recipe.")
        if path not in paths:
            kept.append(entry)
    return kept + value
