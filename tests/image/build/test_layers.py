"""Each module is in root and initrd once, in lists by platform."""

from dataclasses import replace

import pytest

from image.build import layers
from image.build.inputs import Inputs
from image.build.steps import Steps
from image.inputs import lockfile, recipe
from image.inputs.parts import GuestFile
from image.rootfs.kernel import Module
from image.rootfs.tree import Tree, TreeEntry
from tests.image.small_programs import elf_program

BUS, DISK, CARD, LOG = (Module(name, name.encode()) for name in ("bus", "disk", "card", "log"))


def test_no_file_of_a_recipe_runs_on_the_machine_that_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anyone who verifies the image of someone else would run that author's code."""
    packages = Tree()
    packages.put("usr/lib64/ld-linux-x86-64.so.2", TreeEntry.file(elf_program([]), executable=True))
    packages.put("usr/bin/python3.13", TreeEntry.file(elf_program([]), executable=True))
    packages.put("usr/lib/python3.13/py_compile.py", TreeEntry.file(b"Debian's"))
    ran: list[Tree] = []

    def compiled(layer: Tree, made_by: Tree) -> Tree:
        ran.append(made_by)
        return Tree()

    monkeypatch.setattr(layers.tree, "unpack", lambda names, unwanted: packages)
    monkeypatch.setattr(layers.bytecode, "compile_sources", compiled)
    own = ("usr/lib/python3.13/py_compile.py", "usr/lib/python3.13/encodings/__init__.py", "usr/bin/python3.13")
    files = tuple(GuestFile(f"/{path}", 0o755, "", "theirs", "", True, b"theirs") for path in own)
    made = replace(recipe.load("base").recipe, files=files, commands=())
    inputs = Inputs(made, {}, {}, {}, {}, lockfile.load("base"), lambda name: [], "")
    monkeypatch.setattr(Inputs, "system_packages", lambda self: [])
    keyed = layers.KeyedSteps({}, inputs, Steps(None, lambda said: None))

    system, program = layers.system(keyed)
    layers.agent(keyed, Tree(), program)

    assert {path: system[path].contents for path in own} == dict.fromkeys(own, b"theirs")
    assert len(ran) == 2
    for one in ran:
        assert b"theirs" not in [entry.contents for _, entry in one]
        assert one["usr/lib/python3.13/py_compile.py"].contents == b"Debian's"


def test_module_list_excludes_modules_that_are_already_loaded() -> None:
    initrd = {"": (DISK,), "cloud": (BUS, DISK)}
    root = {"": (LOG, DISK), "cloud": (BUS, CARD), "other": (BUS, LOG)}

    first, then = layers.modules(initrd, {}), layers.modules(root, initrd)

    assert {path: entry.contents.decode() for path, entry in first if "order" in path} == {
        "usr/lib/modules/order": "disk\n",
        "usr/lib/modules/order-cloud": "bus\n",
    }
    assert {path: entry.contents.decode() for path, entry in then if "order" in path} == {
        "usr/lib/modules/order": "log\n",
        "usr/lib/modules/order-cloud": "card\n",
        "usr/lib/modules/order-other": "bus\n",
    }
    assert {path.rpartition("/")[2] for path, _ in then if path.endswith(".ko")} == {"log.ko", "card.ko", "bus.ko"}
