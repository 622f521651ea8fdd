"""Compile the guest's Python files to byte code, with the image's own interpreter.

Without byte code the agent starts seconds later under emulation. Files with an unchecked hash contain no time and are
used without reading their source. A fixed number of processes, each with a fixed list of files, and hash seed 0 give
the same bytes every time: which constants of a file become references depends on what its process compiled before.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloister.process import run
from image.errors import ImageError
from image.rootfs import elf
from image.rootfs.tree import EntryKind, Tree, TreeEntry

_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "usr/lib64/ld-linux-x86-64.so.2"
_PROCESSES = 4
"""Never the number of CPUs: the bytes depend on it."""

# Runs in the image's interpreter. Each input line has the source's path and the path that tracebacks show.
_COMPILE = """
import py_compile, sys
for line in sys.stdin.read().splitlines():
    source, shown = line.split("\\t")
    py_compile.compile(source, dfile=shown, doraise=True,
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH, quiet=1)
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


def compile_sources(layer: Tree, made_by: Tree) -> Tree:
    """The ``__pycache__`` files of every ``.py`` file of ``layer``, compiled with the interpreter :func:`program`.

    Raises ProcessError with Python's message when a file does not compile.
    """
    sources = [path for path, entry in layer if path.endswith(".py") and entry.kind is EntryKind.FILE]
    compiled = Tree()
    if not sources:
        return compiled
    python = interpreter(made_by)
    tag = f"cpython-3{python.rpartition('.')[2]}"
    with tempfile.TemporaryDirectory(prefix="cloister-bytecode-") as folder:
        # Apart from each other: the sources are not part of what runs.
        home, written = Path(folder, "python"), Path(folder, "sources")
        made_by.write(home)
        for path in sources:
            (written / path).parent.mkdir(parents=True, exist_ok=True)
            (written / path).write_bytes(layer[path].contents)
        argv = [
            home / _LOADER,
            "--library-path",
            home / _LIBRARIES,
            home / python,
            "-S",
            "-s",
            "-P",
            "-B",
            "-c",
            _COMPILE,
        ]
        # Column numbers only improve tracebacks, and are a third of what the agent reads at its start.
        environment = {
            "PYTHONNODEBUGRANGES": "1",
            "PYTHONHOME": str(home / "usr"),
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
            "PATH": "/usr/bin",
        }

        def compile_part(first: int) -> None:
            lines = "".join(f"{written / path}\t/{path}\n" for path in sources[first::_PROCESSES])
            run(argv, cwd=home, env=environment, input=lines.encode())

        with ThreadPoolExecutor(_PROCESSES) as pool:
            list(pool.map(compile_part, range(_PROCESSES)))
        for path in sources:
            folder_name, _, name = path.rpartition("/")
            made = f"{folder_name}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"
            compiled.put(made, TreeEntry.file((written / made).read_bytes()))
    return compiled
