"""A program that certainly fails in the guest is refused on the author's machine; one that may fail is a warning."""

import io
import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cloister.client.script import grammar, imports, parse
from cloister.client.script.algorithm import Program
from cloister.client.script.packages import package_of
from cloister.client.script.python import UnusableBundle, examine
from cloister.errors import InputError
from cloister.protocol import guest
from tests.shared_files import INPUTS
from tests.small_wheels import SmallWheel

CELL = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": ["print(1)\n"]}
NOTEBOOK = json.dumps({"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1)
SOURCE = "print('h\u00e9llo')\n"


def at(folder: Path, content: bytes, name: str = "train.py") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def warnings(path: Path, **more) -> str:
    return "\n".join(examine(Program(path, **({"files": {}, "environment": {}} | more))).warnings)


def archive(member: str, content: str = "print(1)\n") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr(member, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (NOTEBOOK.encode(), "is a notebook"),
        (b"\xef\xbb\xbf" + NOTEBOOK.encode(), "is a notebook"),
        (b"\r\n" + NOTEBOOK.encode(), "is a notebook"),
        (b'{"worksheets": [], "metadata": {}}', "is a notebook"),
        (b'{"paragraphs": []}', "is a notebook of Zeppelin"),
        (b"[1, 2]", "is JSON"),
        *((SOURCE.encode(encoding), f"is text in {encoding[:6].upper()}") for encoding in ("utf-16", "utf-32")),
        *((SOURCE.encode(f"{encoding}-{end}"), f"is text in {encoding.upper()}")
          for encoding in ("utf-16", "utf-32") for end in ("le", "be")),
        (archive("train.py"), "is a zip archive"),
        (b"PK\x05\x06" + bytes(18), "is a zip archive"),
        (b"\x7fELF\x02\x01\x01" + bytes(64), "is a compiled program or library (ELF)"),
        (b"MZ\x90\0" + bytes(64), "is a program for Windows"),
        (b"\xf3\r\r\n" + bytes(12), "is compiled Python"),
        (b"\x80\x05\x95" + bytes(8) + b"\x94.", "is a pickle"),
        (b"\x1f\x8b\x08\0\xff\xff", "is a gzip archive"),
        (b"%PDF-1.7\n", "is a PDF document"),
        (b"<!DOCTYPE html>\n<html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a pointer of Git LFS"),
        (b"x = 1\ny = '\0'\n", "has a null byte in line 2"),
        (b"x = 1\n#\xe9\xe8\n", "line 2, column 2 (byte 0xe9), is not UTF-8"),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_anything_but_source_is_refused_by_its_kind(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        examine(Program(at(tmp_path, content), {}, {}))

    assert caught.value.message.startswith("train.py")
    assert said in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(64), "binary"),
        (b"\0asm\1\0\0\0", "wasm"),
        (bytes(257) + b"ustar\x0000" + bytes(60), "oci"),
    ],
)
def test_program_of_another_kind_is_told_which(tmp_path: Path, content: bytes, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        examine(Program(at(tmp_path, content), {}, {}))

    assert f"`kind: {kind}`" in caught.value.hint


@pytest.mark.skipif(not INPUTS.exists(), reason="The folder shared/ is absent.")
def test_notebook_is_refused_with_the_way_to_a_script() -> None:
    with pytest.raises(InputError, match=r"train\.ipynb is a notebook") as caught:
        examine(Program(INPUTS / "12-notebook" / "train.ipynb", {}, {}))

    assert "jupyter nbconvert --to script train.ipynb" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"print(1)",
        b"\xef\xbb\xbfprint(1)\r\n",
        b"print(1)\rprint(2)\r",
        b"if 1:\n\tprint(1)\n\x0c\n",
        "print('\u00e9')".encode(),
        b"# -*- coding: latin-1 -*-\nprint('\xe9')\n",
        b"#!/usr/bin/env python3\n# vim: set fileencoding=cp1252 :\nprint('\x80')\n",
        b"# coding: shift_jis\nprint('\x83\x5c')\n",
        b"MZ = 1\nprint(MZ)\n",
        b"{'cells': print(1)}",
        b"print({'nbformat': 4})",
        b"x = '\\d'\nprint(x is 1)\n",
        b"#!/bin/sh\nprint('python all the same')\n",
        archive("__main__.py"),
        b"#!/usr/bin/env python3\n" + archive("__main__.py"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_python_runs_is_accepted_without_a_word(tmp_path: Path, content: bytes) -> None:
    assert warnings(at(tmp_path, content)) == ""


@pytest.fixture
def guests_grammar():
    if not grammar.is_guests(f"{sys.version_info[0]}.{sys.version_info[1]}") and grammar.find_interpreter() is None:
        pytest.skip(f"No Python {guest.PYTHON} on this machine.")


@pytest.mark.usefixtures("guests_grammar")
@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("x = 1\nprint 'x'\n", "line 2, column 1 (print 'x')"),
        ("x = (1,\n", "line 1, column 5 (x = (1,)"),
        ("def f():\nreturn 1\n", "line 2, column 1 (return 1)"),
        ("if 1:\n\tx = 1\n        y = 2\n", "line 3"),
        ("await main()\n", "line 1, column 1 (await main())"),
        ("def f():\n    yield from x\n    return\nreturn 2\n", "line 4"),
        ("%matplotlib inline\n", "line 1, column 1 (%matplotlib inline)"),
        ("#!/bin/sh\nif true; then echo; fi\n", "line 2"),
        ("# coding: nonsense\nprint(1)\n", "train.py"),
        ("x = 'a\x1b[2J' +\n", "line 1"),
    ],
)
def test_what_does_not_compile_is_refused_with_line_and_column(tmp_path: Path, source: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        examine(Program(at(tmp_path, source.encode()), {}, {}))

    assert place in caught.value.message
    assert f"does not compile under Python {guest.PYTHON}" in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.usefixtures("guests_grammar")
@pytest.mark.parametrize(
    "source",
    [
        'print(f"{"a" + f"{1}"}")\n',
        "type Row = list[int]\n",
        "def first[T = int](rows: list[T]) -> T:\n    return rows[0]\n",
        "try:\n    print(1)\nexcept* ValueError:\n    pass\n",
        "match [1]:\n    case [x]:\n        print(x)\n",
    ],
)
def test_the_guests_grammar_is_accepted_whatever_runs_cloister(tmp_path: Path, source: str) -> None:
    assert warnings(at(tmp_path, source.encode())) == ""


@pytest.mark.parametrize("how", ["none", "broken"])
def test_without_the_guests_grammar_nothing_is_refused(tmp_path: Path, monkeypatch, how: str) -> None:
    monkeypatch.setattr(grammar, "is_guests", lambda version: False)
    monkeypatch.setattr(grammar, "find_interpreter", lambda: None if how == "none" else "/bin/false")

    said = warnings(at(tmp_path, b"x = = 1\n"))

    assert "train.py, line 1, column 5 (x = = 1)" in said
    assert f"The guest has {guest.PYTHON}, which may differ: put python{guest.PYTHON} on PATH" in said
    assert warnings(at(tmp_path, b"print(1)\n")) == ""


def test_interpreter_is_asked_for_its_version(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PYENV_ROOT", "XDG_DATA_HOME", "UV_PYTHON_INSTALL_DIR"):
        monkeypatch.delenv(name, raising=False)
    shim = at(tmp_path, b"#!/bin/sh\necho 'not chosen' >&2; exit 127\n", f"python{guest.PYTHON}")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    grammar.find_interpreter.cache_clear()
    assert grammar.find_interpreter() is None

    real = tmp_path / ".pyenv" / "versions" / f"{guest.PYTHON}.1" / "bin" / f"python{guest.PYTHON}"
    real.parent.mkdir(parents=True)
    real.write_text(f"#!/bin/sh\necho {guest.PYTHON}\n")
    real.chmod(0o755)
    grammar.find_interpreter.cache_clear()
    assert grammar.find_interpreter() == str(real)
    grammar.find_interpreter.cache_clear()


@pytest.mark.parametrize("depth", [1000, 200_000])
def test_deep_nesting_causes_no_traceback(tmp_path: Path, depth: int) -> None:
    try:
        warnings(at(tmp_path, b"x = " + b"-" * depth + b"1\n"))
    except InputError as error:
        assert error.message.startswith("train.py")


def bundle(path: Path, *wheels: SmallWheel) -> Path:
    with tarfile.open(path, "w") as made:
        for wheel in wheels:
            member = tarfile.TarInfo(f"wheels/{wheel.file}")
            content = wheel.build()
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return path


MEMBERS = dict.fromkeys(
    [
        "numpy/__init__.py",
        "google/cloud/storage/__init__.py",
        "six.py",
        "_cffi_backend.cpython-313-x86_64-linux-gnu.so",
        "fast.abi3.so",
        "numpy.libs/libopenblas.so",
        "demo-1.0.data/purelib/pure/__init__.py",
        "demo-1.0.data/scripts/tool.py",
        "README.md",
    ],
    b"",
)


def test_modules_of_a_bundle_are_those_that_the_launcher_lays_out(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", SmallWheel(files=MEMBERS), SmallWheel("pyyaml", {"yaml/__init__.py": b""}))

    modules = imports.read_bundle(path).modules
    assert modules >= {"numpy", "google", "six", "_cffi_backend", "fast", "pure", "yaml"}
    assert modules.isdisjoint({"README", "demo", "tool"})


def test_memory_that_a_bundle_takes_is_found(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", SmallWheel(files={"six.py": bytes(5000), "x/a.py": b"1"}))
    for program in (b"import six\n", archive("__main__.py")):
        found = examine(Program(at(tmp_path, program), {}, {}, path, True))
        assert found.unpacked_size == imports.read_bundle(path).size
    assert examine(Program(at(tmp_path, b"import os\n"), {}, {})).unpacked_size == 0


SUBPROCESS = "import os, subprocess, sys\n"
INSTALLING = {
    "os.system": "os.system('pip install numpy')",
    "os.system of python -m": "os.system('python3 -m pip install -q numpy')",
    "formatted": "os.system(f'{sys.executable} -m pip install {name}')",
    "chained": "os.system('cd /tmp && pip3 install numpy')",
    "words": "subprocess.check_call([sys.executable, '-m', 'pip', 'install', 'numpy'])",
    "words with options": "subprocess.run(['pip', '--quiet', 'install', 'numpy'], check=True)",
    "by keyword": "subprocess.run(args=['pip3.13', 'install', 'numpy'])",
    "in a variable": "command = ['pip', 'install'] + packages\nsubprocess.Popen(command)",
    "split": "subprocess.run('pip install numpy'.split())",
    "other name": "from subprocess import check_output as run\nrun('pip install numpy', shell=True)",
    "asynchronous": "import asyncio\nasyncio.create_subprocess_shell('pip install numpy')",
    "spawned": "os.execvp('pip', ['pip', 'install', 'numpy'])",
    "pip itself": "pip.main(['install', 'numpy'])",
    "pip's insides": "pip._internal.main(['install', 'numpy'])",
    "if it is missing": "try:\n    import numpy\nexcept ImportError:\n    os.system('pip install numpy')",
    "in a function": "def install(name):\n    subprocess.run(['conda', 'install', name])",
    "uv": "subprocess.run(['uv', 'pip', 'install', 'numpy'])",
    "apt": "os.system('apt-get update; apt-get install -y libgomp1')",
    "exported notebook": "if True:\n    get_ipython().system('pip install numpy')",
}
NOT_INSTALLING = {
    "said": "print('pip install numpy')",
    "raised": "raise SystemExit('run: pip install numpy')",
    "other program": "subprocess.run(['gzip', 'install'])",
    "pip lists": "subprocess.run(['pip', 'list'])",
    "part of a word": "os.system('pipe install')",
    "in a docstring": '"pip install numpy"\nx = 1',
}


@pytest.mark.parametrize("kind", INSTALLING)
def test_program_that_installs_packages_is_told_of_the_bundle(tmp_path: Path, kind: str) -> None:
    source = SUBPROCESS + INSTALLING[kind] + "\n"
    said = warnings(at(tmp_path, source.encode()), has_bundle=True)
    assert re.match(r"train\.py, line \d+: it installs packages, which fails in the guest", said)
    assert "requirements.txt" in said
    line = int(said.split("line ")[1].split(":")[0])
    assert "install" in source.splitlines()[line - 1] or kind == "in a variable"


@pytest.mark.parametrize("kind", NOT_INSTALLING)
def test_words_about_installing_do_not_warn(tmp_path: Path, kind: str) -> None:
    assert warnings(at(tmp_path, (SUBPROCESS + NOT_INSTALLING[kind] + "\n").encode()), has_bundle=True) == ""


def test_module_beside_the_program_that_installs_packages_is_told_too(tmp_path: Path) -> None:
    helper = at(tmp_path, b"import os\nos.system('pip install numpy')\n", "helper.py")
    said = warnings(at(tmp_path, b"import helper\n"), files={"lib/helper.py": helper, "helper.py": helper})
    assert "lib/helper.py, line 2: it installs" in said
    assert "\nhelper.py, line 2: it installs" in said


def test_import_of_pip_is_told_of_the_bundle_instead_of_pip(tmp_path: Path) -> None:
    said = warnings(at(tmp_path, b"import pip\n"))
    assert "the guest has no pip" in said
    assert "Bundle pip" not in said


def test_many_terms_and_calls_cause_no_traceback(tmp_path: Path) -> None:
    terms = " + ".join(["'pip'"] * 900)
    chain = "x" + ".run()" * 900
    source = f"import os\ntext = {terms}\nos.system(text)\n{chain}\n"
    assert warnings(at(tmp_path, source.encode())) == ""


LOOKALIKES = {
    "the program": ("glob.py", [], {}, "glob.py is named like the module glob of Python's library"),
    "a module": ("train.py", ["random.py"], {}, "random.py is named like the module random of Python's library"),
    "a package": ("train.py", ["json/__init__.py"], {}, "json/__init__.py is named like the module json of"),
    "a compiled module": ("train.py", ["queue.so"], {}, "queue.so is named like the module queue of Python's"),
    "a built-in module": ("train.py", ["math.py"], {}, "math.py is named like the module math of Python's library"),
    "of the bundle": ("train.py", ["six.py"], {}, "six.py is named like the module six of the bundle"),
    "the program, of the bundle": ("numpy.py", [], {}, "numpy.py is named like the module numpy of the bundle"),
    "of the image": ("sklearn.py", [], {}, "sklearn.py is named like the module sklearn of the image"),
    "in a folder of the path": ("train.py", ["lib/csv.py"], {"PYTHONPATH": "lib"}, "lib/csv.py is named like"),
    "in a folder by its whole path": ("train.py", ["a/csv.py"], {"PYTHONPATH": "/x:/work/a"}, "a/csv.py is named"),
    "in a folder that is not searched": ("train.py", ["lib/csv.py"], {}, ""),
    "inside of a package": ("train.py", ["mine/__init__.py", "mine/random.py"], {}, ""),
    "a table": ("train.py", ["random.csv", "csv"], {}, ""),
    "a folder without code": ("train.py", ["json/data.csv"], {}, ""),
    "another folder first": ("glob.py", ["csv.py"], {"PYTHONSAFEPATH": "1"}, ""),
    "removed from Python": ("imp.py", [], {}, ""),
    "a name of its own": ("train.py", ["model.py", "pandas.py"], {}, ""),
}


@pytest.mark.parametrize("case", LOOKALIKES)
def test_module_that_is_named_like_another_is_told(tmp_path: Path, case: str) -> None:
    name, places, environment, said = LOOKALIKES[case]
    path = bundle(tmp_path / "b", SmallWheel(files=MEMBERS))
    program = at(tmp_path, b"print(1)\n", name)
    files = dict.fromkeys(places)
    more = {"bundle": path, "has_bundle": True, "image": {"scikit-learn": "1.6.1"}}
    found = warnings(program, files=files, environment=environment, **more)
    assert (found == "") if not said else (said in found and found.count("\n") == 0)


def test_modules_in_a_zip_are_compared_too(tmp_path: Path) -> None:
    out = io.BytesIO(archive("__main__.py"))
    with zipfile.ZipFile(out, "a") as made:
        made.writestr("random.py", "")
        made.writestr("lib/glob.py", "")
    (said,) = examine(Program(at(tmp_path, out.getvalue(), "json.py"), {}, {})).warnings
    assert said.startswith("random.py is named like the module random of Python's library")


def test_bundle_that_cannot_be_installed_is_refused(tmp_path: Path) -> None:
    broken = bundle(tmp_path / "broken", SmallWheel(files={"a.py": b""}, record=False))

    for path in (at(tmp_path, b"no tar", "no"), broken):
        with pytest.raises(UnusableBundle, match=r"^The guest cannot install the bundle\. "):
            warnings(at(tmp_path, b"import sklearn\n"), bundle=path, has_bundle=True)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import numpy, six, fast, google.cloud.storage", ""),
        ("from __future__ import annotations\nimport os, xml.etree.ElementTree as E, pydoc, ssl", ""),
        ("import sklearn.linear_model", "sklearn is neither in the bundle nor in the guest. Add scikit-learn to"),
        ("from PIL import Image", "Add pillow to the requirements"),
        ("import cv2", "Add opencv-python-headless to"),
        ("import my_models", "Add my-models to"),
        ("import tkinter", "the guest's Python has no tkinter. They draw windows"),
        ("import distutils.core", "distutils was removed from Python 3.12"),
        ("import cgi", "cgi was removed from Python 3.13"),
        ("from . import helper", "a relative import fails"),
        ("def main():\n    import torch\n", "(in main, if that is called): torch is neither"),
        ("class A:\n    import torch\n", "line 2: torch is neither"),
        ("if __name__ == '__main__':\n    import torch\n", "line 2: torch is neither"),
        ("with open('x'):\n    import torch\n", "torch is neither"),
        ("try:\n    import torch\nexcept ValueError:\n    pass\n", "torch is neither"),
        ("try:\n    import torch\nfinally:\n    pass\n", "torch is neither"),
        ("try:\n    import torch\nexcept ImportError:\n    torch = None\n", ""),
        ("try:\n    import torch\nexcept (KeyError, ModuleNotFoundError):\n    pass\n", ""),
        ("try:\n    import torch\nexcept:\n    pass\n", ""),
        ("try:\n    import torch\nexcept Exception:\n    pass\n", ""),
        ("import contextlib\nwith contextlib.suppress(ImportError):\n    import torch\n", ""),
        ("import sys\nif sys.platform == 'win32':\n    import winreg\n", ""),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\n", ""),
        ("'''only words'''", "does nothing"),
        ("", "does nothing"),
        ("get_ipython().run_line_magic('matplotlib', 'inline')", "line 1: get_ipython exists in notebooks only"),
    ],
)  # fmt: skip
def test_imports_that_neither_bundle_nor_guest_has_are_told(tmp_path: Path, source: str, said: str) -> None:
    path = bundle(tmp_path / "b", SmallWheel(files=MEMBERS))
    program = at(tmp_path, source.encode() if not said or "does" in said else f"{source}\nprint(1)\n".encode())

    found = warnings(program, bundle=path, has_bundle=True)

    assert (found == "") if not said else (said in found and found.count("\n") == 0)


def test_distutils_of_a_bundled_setuptools_is_there(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b", SmallWheel(files={"setuptools/__init__.py": b""}))
    assert warnings(at(tmp_path, b"import distutils.core\n"), bundle=path, has_bundle=True) == ""


def test_without_a_bundle_the_package_is_named_and_an_unknown_bundle_is_not_judged(tmp_path: Path) -> None:
    path = at(tmp_path, b"import sklearn\nimport cgi\n")

    assert "sklearn is not in the guest, and there is no bundle. Bundle scikit-learn" in warnings(path)
    assert warnings(path, has_bundle=True, bundle=None) == ""


@pytest.mark.parametrize(
    ("source", "places", "environment", "said"),
    [
        ("import helper", ["helper.py"], {}, ""),
        ("import helper", ["helper/__init__.py"], {}, ""),
        ("import helper.part", ["helper/part.py"], {}, ""),
        ("import helper.cpp", ["helper/cpp.cpython-313-x86_64-linux-gnu.so"], {}, ""),
        ("import helper", ["lib/helper.py"], {"PYTHONPATH": "/work/lib"}, ""),
        ("import helper", ["lib/helper.py"], {"PYTHONPATH": "lib:/x"}, ""),
        ("import sys\nsys.path.append('lib')\nimport helper", ["lib/helper.py"], {}, ""),
        ("import helper", ["lib/helper.py"], {}, "helper is not in the guest"),
        ("import helper.more", ["helper/__init__.py"], {}, "helper.more is not among algorithm.files"),
        ("import helper", [], {}, "helper.py is not in the manifest. Add it to algorithm.files: {file: helper.py, at"),
        ("import json", ["json/table.csv"], {}, ""),
        ("import train", [], {}, ""),
    ],
)
def test_modules_beside_the_program_are_found_among_its_files(
    tmp_path: Path, source: str, places: list[str], environment: dict[str, str], said: str
) -> None:
    if not places:
        at(tmp_path, b"", "helper.py")

    found = warnings(at(tmp_path, source.encode()), files=dict.fromkeys(places), environment=environment)

    assert (found == "") if not said else said in found


def test_modules_are_examined_like_the_program(tmp_path: Path) -> None:
    helper = at(tmp_path, b"import torch\nif __name__ == '__main__':\n    import wandb\n", "helper.py")
    broken = at(tmp_path, b"print 'x'\n", "broken.py")
    pointer = at(tmp_path, b"version https://git-lfs.github.com/spec/v1\n", "w.pth")
    part = at(tmp_path, b"from . import other\nfrom .absent import x\n", "part.py")
    files = {"helper.py": helper, "broken.py": broken, "w.pth": pointer, "p/part.py": part, "p/__init__.py": None}

    said = warnings(at(tmp_path, b"import helper\n"), files=files)

    assert "helper.py, line 1: torch is not in the guest" in said
    assert "wandb" not in said
    assert "broken.py, line 1, column 1 (print 'x')" in said
    assert "w.pth is a pointer of Git LFS" in said
    assert "p/part.py, line 2: p.absent is not among algorithm.files" in said


def test_parser_runs_by_itself_in_another_interpreter() -> None:
    source = Path(parse.__file__).read_text()

    assert "cloister" not in source.split('"""', 2)[2]


def test_package_names_are_normal_where_they_are_not_listed() -> None:
    assert [package_of(name) for name in ("google.protobuf.message", "yaml", "Sentence_Transformers.util")] == [
        "protobuf",
        "pyyaml",
        "sentence-transformers",
    ]


TOO_DEEP = {
    "signs": b"x = " + b"-" * 100_000 + b"1\n",
    "negations": b"x = " + b"not " * 100_000 + b"1\n",
    "attributes": b"x = a" + b".b" * 100_000 + b"\n",
    "calls": b"x = a" + b"()" * 100_000 + b"\n",
    "sums": b"x = 1" + b"+1" * 100_000 + b"\n",
    "powers": b"x = 1" + b"**1" * 50_000 + b"\n",
    "elif": b"if a:\n pass\n" + b"elif a:\n pass\n" * 20_000,
    "lambdas": b"x = " + b"lambda:" * 100_000 + b"1\n",
    "parentheses": b"x = " + b"(" * 5000 + b")" * 5000 + b"\n",
    "blocks": b"".join(b" " * level + b"if a:\n" for level in range(150)) + b" " * 150 + b"pass\n",
}


@pytest.mark.parametrize("name", TOO_DEEP)
@pytest.mark.parametrize("is_guests", [True, False])
def test_source_too_deep_for_the_compiler_is_refused_in_a_sentence(tmp_path, monkeypatch, name, is_guests):
    """By the guest's grammar it fails in the guest, too; by another one, it is a warning."""
    monkeypatch.setattr(grammar, "is_guests", lambda version: is_guests)
    path = at(tmp_path, TOO_DEEP[name])
    if is_guests:
        with pytest.raises(InputError, match=r"train\.py.* does not compile under Python") as raised:
            warnings(path)
        assert "Error" not in raised.value.message
        assert raised.value.hint
    else:
        monkeypatch.setattr(grammar, "find_interpreter", lambda: None)
        said = warnings(path)
        assert said.startswith("train.py") and "Error" not in said


def test_zip_of_a_program_is_not_unpacked_beyond_a_source(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("__main__.py", "#" * (64 << 20))
    with pytest.raises(InputError, match="is a zip archive"):
        warnings(at(tmp_path, out.getvalue()))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_zip_of_a_program_is_refused(tmp_path, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("__main__.py", "print(1)\n" * 100)
    data = bytearray(out.getvalue())
    for place in range(41, 60):
        data[place] ^= 0xFF
    with pytest.raises(InputError, match="is a zip archive"):
        warnings(at(tmp_path, bytes(data)))
