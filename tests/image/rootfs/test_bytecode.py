"""Byte code is what py_compile writes, for any name of a file; a file that does not compile is named."""

import marshal
import py_compile
import sys
from pathlib import Path
from types import CodeType

import pytest

from cloister.process import ProcessError, run
from image.rootfs import bytecode
from image.rootfs.tree import Tree, TreeEntry
from image.rootfs.workers import Workers

SOURCES = {
    "usr/lib/a.py": b"import os\n\n\ndef f(x: int) -> str:\n    '''Documented.'''\n    return f'{x} {os.sep}'\n",
    "usr/lib/empty.py": b"",
    "usr/lib/latin.py": b"# coding: latin-1\nname = '\xe9'\n",
    "usr/lib/two words.py": b"x = 1",
    "usr/lib/two\nlines.py": b"x = 2\n",
    "usr/lib/undecodable\udcff.py": b"x = 3\n",
}


def tree(sources: dict[str, bytes]) -> Tree:
    made = Tree()
    for path, contents in sources.items():
        made.put(path, TreeEntry.file(contents))
    made.put("usr/lib/link.py", TreeEntry.link("a.py"))
    made.put("usr/lib/data", TreeEntry.file(b"def"))
    return made


@pytest.fixture
def own_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's interpreter in the place of an image's."""

    def own(argv: list[str], *, cwd: Path, env: object, input: bytes) -> object:
        return run([sys.executable, *argv[4:]], cwd=cwd, input=input)

    monkeypatch.setattr(bytecode, "run", own)


def compiled(layer: Tree, processors: int) -> Tree:
    python = Tree()
    python.put("usr/bin/python3.13", TreeEntry.file(b""))
    with Workers(processors) as workers, bytecode.Compiler(python, workers) as compiler:
        return compiler.compile(layer)


def parts(contents: bytes) -> tuple[bytes, CodeType, str]:
    """The header, the code, and the file that tracebacks name."""
    code = marshal.loads(contents[16:])
    return contents[:16], code, code.co_filename


@pytest.mark.usefixtures("own_interpreter")
@pytest.mark.parametrize("processors", [1, 5])
def test_byte_code_is_that_of_py_compile(tmp_path: Path, processors: int) -> None:
    """But for references between equal constants, which depend on what else the process has compiled."""
    made = compiled(tree(SOURCES), processors)
    found = {path: parts(entry.contents) for path, entry in made if path.endswith(".pyc")}
    expected = {}
    for path, contents in SOURCES.items():
        name = path.rpartition("/")[2].removesuffix(".py")
        (tmp_path / "source.py").write_bytes(contents)
        py_compile.compile(
            str(tmp_path / "source.py"),
            cfile=str(tmp_path / "made.pyc"),
            dfile=f"/{path}",
            doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
        expected[f"usr/lib/__pycache__/{name}.cpython-313.pyc"] = parts((tmp_path / "made.pyc").read_bytes())

    assert found == expected


@pytest.mark.usefixtures("own_interpreter")
def test_a_file_that_does_not_compile_is_named() -> None:
    with pytest.raises(ProcessError, match=r'"/usr/lib/wrong\.py", line 2'):
        compiled(tree({"usr/lib/wrong.py": b"x = 1\ndef\n"}), 2)
