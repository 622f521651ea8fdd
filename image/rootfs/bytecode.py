"""Compile the guest's Python files to byte code, with the image's own interpreter.

Without byte code the agent starts seconds later under emulation. Files with an unchecked hash contain no time and are
used without reading their source. A fixed number of processes, each with a fixed list of files, and hash seed 0 give
the same bytes every time: which constants of a file become references depends on what its process compiled before.
"""

import tempfile
import threading
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

from cloister.process import run
from image.errors import ImageError
from image.rootfs import elf
from image.rootfs.tree import EntryKind, Tree, TreeEntry
from image.rootfs.workers import Workers

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_LISTS = 4
"""Never the number of processors: the bytes depend on it."""

# Runs in the image's interpreter, and loads nothing but modules that are built into it: py_compile loads forty others,
# which have no byte code here. For each source it gets a line with two sizes, the path that tracebacks show, and the
# source. It answers with a size and the byte code of each.
_COMPILE = """
import _frozen_importlib_external as importlib, _imp
made = []
with open(0, "rb") as given:
    while line := given.readline():
        shown, source = map(given.read, map(int, line.split()))
        code = compile(source, shown.decode(errors="surrogateescape"), "exec", dont_inherit=True, optimize=-1)
        digest = _imp.source_hash(importlib._RAW_MAGIC_NUMBER, source)
        made.append(importlib._code_to_hash_pyc(code, digest, False))
with open(1, "wb") as answer:
    for compiled in made:
        answer.write(b"%d\\n" % len(compiled))
        answer.write(compiled)
"""


def interpreter(system: Tree) -> str:
    """The path of the one python3.N in ``system``."""
    found = [path for path, _ in system if path.startswith("usr/bin/python3.") and path[16:].isdigit()]
    if len(found) != 1:
        raise ImageError(f"The image must have one Python interpreter, not {len(found)}: {', '.join(found)}.")
    return found[0]


def program(packages: Tree) -> Tree:
    """The interpreter in the files of Debian's packages, its standard library and what they need to run.

    It runs on the machine that builds, so nothing of it may come from a recipe: anyone who verifies an image of someone
    else would run that author's code.
    """
    python = interpreter(packages)
    library = f"usr/lib/{python.rpartition('/')[2]}/"
    # Libraries of packages are large, so only those are taken that it loads.
    modules = [path for path, _ in packages if path.startswith(library) and not path.endswith(".pyc")]
    needed = elf.closure(packages, [python, *(path for path in modules if path.endswith(".so"))])
    for path in modules:
        needed.put(path, packages[path])
    return needed


def sources(layer: Tree) -> Tree:
    """The Python files of ``layer``, in their folders."""
    found = Tree()
    for path, entry in layer:
        if path.endswith(".py") and entry.kind is EntryKind.FILE:
            found.put(path, entry)
    return found


class Compiler:
    """The interpreter in the tree ``made_by`` (:func:`program`), written to a folder when it is first needed."""

    def __init__(self, made_by: Tree, workers: Workers) -> None:
        self._made_by = made_by
        self._workers = workers
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @cached_property
    def digest(self) -> str:
        """Of the interpreter (hex)."""
        return self._made_by.digest().hex()

    def compile(self, layer: Tree) -> Tree:
        """The ``__pycache__`` files of the Python files of ``layer``.

        Raises ProcessError with Python's message when a file does not compile.
        """
        compiled, home = Tree(), self._home()
        tag = f"cpython-3{interpreter(self._made_by).rpartition('.')[2]}"
        # A tree has the folders of its files, too; they are not compiled, whatever their names.
        files = [(path, entry) for path, entry in sources(layer) if entry.kind is EntryKind.FILE]
        lists = [files[first::_LISTS] for first in range(_LISTS)]
        for paths, made in zip(lists, self._workers.map(partial(self._run, home), lists), strict=True):
            for (path, _), contents in zip(paths, made, strict=True):
                folder, _, name = path.rpartition("/")
                compiled.put(f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc", TreeEntry.file(contents))
        return compiled

    def _home(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="cloister-bytecode-")
                self._made_by.write(Path(self._folder.name))
            return Path(self._folder.name)

    def _run(self, home: Path, sources: Sequence[tuple[str, TreeEntry]]) -> list[bytes]:
        program = [home / _LOADER, "--library-path", home / _LIBRARIES, home / interpreter(self._made_by)]
        # Column numbers only improve tracebacks, and are a third of what the agent reads at its start.
        environment = {
            "PYTHONNODEBUGRANGES": "1",
            "PYTHONHOME": str(home / "usr"),
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/bin",
        }
        given: list[bytes] = []
        for path, source in sources:
            shown = f"/{path}".encode(errors="surrogateescape")
            given += [b"%d %d\n" % (len(shown), len(source.contents)), shown, source.contents]
        words = [*program, "-S", "-s", "-P", "-B", "-c", _COMPILE]
        return _parts(run(words, cwd=home, env=environment, input=b"".join(given)).stdout, len(sources))


def _parts(answer: bytes, count: int) -> list[bytes]:
    made, at = [], 0
    for _ in range(count):
        end = answer.index(b"\n", at)
        size = int(answer[at:end])
        made.append(answer[end + 1 : end + 1 + size])
        at = end + 1 + size
    return made
