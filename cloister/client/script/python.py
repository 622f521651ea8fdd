"""Examines an algorithm of kind python: refuses what certainly fails, warns of what may fail."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloister import userfile
from cloister.client.script import grammar, imports, kind
from cloister.client.script.algorithm import Program, ProgramFindings
from cloister.client.script.lookalikes import lookalikes, search_roots
from cloister.client.script.parse import Parsed, SyntaxProblem
from cloister.errors import InputError
from cloister.protocol import names, text
from cloister.protocol.guest import PYTHON
from cloister.protocol.wheels.errors import BundleError

_LARGEST = 16 * 1024 * 1024
_SHOWN = 160


class UnusableBundle(InputError):
    """The launcher could not install the bundle."""


def examine(program: Program) -> ProgramFindings:
    """Examine a program.

    Raises InputError when the guest's Python cannot run it: a notebook, a text in UTF-16, a binary file, or a source
    that does not compile under the guest's grammar. Without that grammar at hand, the latter is a warning.
    Raises UnusableBundle for a bundle that cannot be installed. Whether it fits is left to the caller.
    """
    name = program.path.name
    data = _read(program.path)
    if data is None:
        return ProgramFindings((f"{names.shown(name)} has more than {_LARGEST} bytes and was not examined.",))
    zipped = _of_zip(name, data)
    if zipped is None:
        kind.require_source(name, data)
    sources = {name: data if zipped is None else zipped.main}
    sources |= {
        place: content
        for place, path in program.files.items()
        if place.endswith(".py") and path is not None and (content := _read(path)) is not None
    }
    parsed = grammar.parse_all(sources, name)
    main = parsed[name]
    if main.problem is not None and grammar.is_guests(main.version):
        said, hint = _refusal(name, main.problem, data)
        raise InputError(said, hint=hint)
    if main.unjudged and grammar.is_guests(main.version):
        raise InputError(
            f"{names.shown(name)} does not compile under Python {PYTHON}, the guest's: {_why_unjudged(main)}.",
            hint="Shorten its longest expression or chain of elif; put long tables into files of the algorithm.",
        )
    counted: set[str] = set()
    contents = _bundle(program)
    size = 0 if contents is None else contents.size
    warnings = tuple(_warnings(program, parsed, contents, counted, zipped))
    return ProgramFindings(warnings, {name: program.image[name] for name in sorted(counted)}, size)


def _bundle(program: Program) -> imports.BundleContents | None:
    """What the bundle has, if it is here. Raises InputError."""
    if program.bundle is None:
        return None
    try:
        return imports.read_bundle(program.bundle)
    except BundleError as error:
        raise UnusableBundle(
            f"The guest cannot install the bundle. {error.message}",
            hint="Make it from the requirements: `bundle requirements.txt`.",
        ) from error
    except OSError as error:
        raise userfile.unreadable(program.bundle, error) from error


def _warnings(
    program: Program,
    parsed: dict[str, Parsed],
    contents: imports.BundleContents | None,
    counted: set[str],
    zipped: "_Zipped | None",
) -> Iterator[str]:
    """Warnings; the packages of the image that are imported are added to ``counted``."""
    name = program.path.name
    for source, one in parsed.items():
        if one.problem is not None:
            place = _place(source, one.problem)
            if grammar.is_guests(one.version):
                yield f"{place}: {one.problem.message}; to import it fails."
            else:
                yield (
                    f"{place}: {one.problem.message}, says Python {one.version}. The guest has {PYTHON}, which may "
                    f"differ: put python{PYTHON} on PATH to be certain."
                )
        elif one.unjudged:
            yield f"{names.shown(source)} could not be examined: {_why_unjudged(one)}."
        elif one.installing_line:
            yield (
                f"{names.shown(source)}, line {one.installing_line}: it installs packages, which fails in the guest: "
                f"there is no network. {imports.INSTALL}"
            )
    main = parsed[name]
    if main.problem is None and not main.unjudged:
        if main.does_nothing:
            yield f"{names.shown(name)} does nothing: it has no statements but constants."
        if main.ipython_line:
            yield (
                f"{names.shown(name)}, line {main.ipython_line}: get_ipython exists in notebooks only. Remove what "
                "calls it; `%pip` and `!pip` become lines of the requirements."
            )
    bundled: frozenset[str] | None = None if program.has_bundle else frozenset()
    if contents is not None:
        bundled = contents.modules
    places = [name, *program.files] if zipped is None else zipped.members
    roots = search_roots(program.environment) if zipped is None else [""]
    yield from lookalikes(places, roots, bundled or (), program.image)
    if zipped is None:
        anywhere = any(one.changes_path for one in parsed.values())
        own = imports.OwnModules((name, *program.files), program.environment, anywhere=anywhere)
        there = imports.Available(bundled, program.image, has_bundle=program.has_bundle)
        yield from imports.missing_modules(parsed, own, there, program.path.parent)
        counted |= there.counted
    for place, path in program.files.items():
        if path is not None and kind.is_pointer(path):
            yield f"{names.shown(place)} is a pointer of Git LFS, not the file itself. Get that: git lfs pull."


def _why_unjudged(one: Parsed) -> str:
    if one.unjudged.startswith(("RecursionError", "MemoryError")):
        return "it is nested too deeply, or one of its expressions is too long"
    return text.printable(one.unjudged)[:_SHOWN]


def _refusal(name: str, problem: SyntaxProblem, data: bytes) -> tuple[str, str]:
    said = f"{_place(name, problem)}: {problem.message}. It does not compile under Python {PYTHON}, the guest's."
    if (what := kind.is_shell(data)) is not None:
        return said, f"It is {what}; an algorithm of kind python is a Python program."
    if problem.text.strip().startswith(("%", "!")):
        return said, "Lines that begin with % or ! are commands of notebooks: remove them."
    return said, "Correct it; nothing has been agreed on or uploaded."


def _place(source: str, problem: SyntaxProblem) -> str:
    place = names.shown(source)
    if problem.line:
        place += f", line {problem.line}"
        place += f", column {problem.column}" if problem.column else ""
    if line := text.printable(problem.text.strip())[:_SHOWN]:
        place += f" ({line})"
    return place


def _read(path: Path) -> bytes | None:
    """The content; None if it is too large to be a source. Raises InputError."""
    try:
        data = userfile.read(path, _LARGEST)
    except OSError as error:
        raise userfile.unreadable(path, error) from error
    return data if len(data) <= _LARGEST else None


@dataclass(frozen=True)
class _Zipped:
    """A zip that Python runs directly (zipapp): its main program and the names of all members."""

    main: bytes
    members: tuple[str, ...]


def _of_zip(name: str, data: bytes) -> _Zipped | None:
    """The zip of programs that ``data`` is; None if it is not one."""
    if not data.startswith((b"PK\x03\x04", b"#!")) or not zipfile.is_zipfile(io.BytesIO(data)):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.getinfo("__main__.py").file_size > _LARGEST:
                return None
            found = _Zipped(archive.read("__main__.py"), tuple(archive.namelist()))
    except (KeyError, OSError, RuntimeError, zipfile.BadZipFile, ValueError, EOFError, zlib.error, lzma.LZMAError):
        return None
    kind.require_source(f"{name}/__main__.py", found.main)
    return found
